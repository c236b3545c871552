"""The files that are generated from the code: written by ``make generate``, and held to by a test."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import typer

from jobhooks.cli.app import app
from jobhooks.cli.command_tree import command_tree, commands
from jobhooks.cli.options import PANEL
from jobhooks.contract.job_settings import DEFAULTS, MAX_COUNT, MAX_SECONDS, RULES, Kind, Rule
from jobhooks.embedded import EmbeddedServer, run_server, wheel_binaries
from jobhooks.runtime.settings import PREFIX, Settings, example
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from jobhooks.store.libpq import PARAMETERS
from jobhooks.store.session_settings import ENGINE, FORMATS, OWN, TRANSACTIONS

GROUPS_OF_SETTINGS = (
    (FORMATS, "everywhere"),
    (TRANSACTIONS, "everywhere, unless `options` has another value"),
    (OWN, "the daemon and the commands"),
    ({name: value for name, value in ENGINE.items() if name not in OWN}, "the daemon"),
)
PARAMETERS_INTRODUCTION = """\
# Connection parameters

`database_url` takes what libpq takes: a URL or `key=value` pairs. libpq supplies missing parts from the PG* variables,
the service file and the password file. The daemon connects with two drivers: psycopg, which uses libpq, and asyncpg,
which does not. So libpq decides where to connect, and asyncpg follows to the same address. What asyncpg cannot honour,
`jobhooks run` refuses at its start with exit code 6. The other commands use libpq alone. `make generate` writes this
page.
"""
SESSIONS_INTRODUCTION = """\
## Settings of the sessions

`alter role ... set` and `alter database ... set` are for your applications. Each session of jobhooks makes the settings
below after connecting. Connections of receivers keep the role's `search_path`, `timezone`, `role` and planner settings,
because your statements run there. They also keep the order in which the role reads dates that are not ISO.
"""
ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "sql" / "schema.sql"
EXAMPLE = ROOT / "daemon" / "jobhooks.example.toml"
REFERENCE = ROOT / "docs" / "reference" / "settings.md"
PARAMETERS_PAGE = ROOT / "docs" / "reference" / "connection-parameters.md"
COMMANDS = ROOT / "docs" / "reference" / "commands.md"
RECEIVER = ROOT / "docs" / "reference" / "receiver.md"
JOB_SETTINGS = ROOT / "sql" / "functions" / "jobs" / "settings_of_jobs.sql"


def schema() -> str:
    """Dump the schema with pg_dump, without parts that differ from run to run."""
    binaries = wheel_binaries()
    assert binaries is not None, "the schema is dumped with the embedded server"
    with run_server(binaries) as server:
        with contextlib.closing(connect(server.url())) as conn:
            install(conn)
        return _dump(server)


def _dump(server: EmbeddedServer) -> str:
    dump = subprocess.run(
        [server.binaries / "pg_dump", "--schema-only", "--no-owner", "--schema=jobhooks", server.url()],
        check=True,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C"},
    ).stdout
    lines = [line for line in dump.splitlines() if not re.match(r"--|\\(un)?restrict |SET |SELECT pg_catalog", line)]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    # The functions are in functions/ already; only the grants show their privileges.
    text = re.sub(r"^CREATE FUNCTION .*?AS (\$\w*\$).*?^\1;\n+", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^COMMENT ON FUNCTION .*?;\n+", "", text, flags=re.MULTILINE)
    return (
        f"-- The schema after all migrations, without the functions: for reading, written by make generate.\n\n{text}\n"
    )


def reference() -> str:
    """Return the settings reference."""
    rows = [
        f"| `{name}` | `{PREFIX}{name.upper()}` | `{_default(name)}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "A flag overrides the environment, the environment the file, and the file the defaults. The file is",
            "`/etc/jobhooks/jobhooks.toml`, or the one that `--config` or `JOBHOOKS_CONFIG` names. Flags have dashes:",
            "`--database-url`. The `--help` of a command lists its flags. `make generate` writes this page.",
            "",
            "| in the file | in the environment | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def connection_parameters() -> str:
    """Return the page on libpq's connection parameters."""
    parameters = [f"| `{name}` | {each.use} | {each.note} |" for name, each in PARAMETERS.items()]
    settings = [f"| `{name}` | `{value}` | {of} |" for group, of in GROUPS_OF_SETTINGS for name, value in group.items()]
    return "\n".join(
        [
            PARAMETERS_INTRODUCTION,
            "| parameter | what happens to it | notes |",
            "|---|---|---|",
            *parameters,
            "",
            SESSIONS_INTRODUCTION,
            "| setting | value | where |",
            "|---|---|---|",
            *settings,
            "",
        ]
    )


def job_settings() -> str:
    """The settings of jobs, as the database knows them."""
    rows = ",\n        ".join(_setting_row(name, rule) for name, rule in RULES.items())
    return f"""\
-- jobhooks.settings_of_jobs(): the settings that a job has, with the kind, limits and default of each.
--
-- setting: its name in class Meta. kind: of its value. lowest, highest: the limits of a number. optional: it may be
-- null, for no limit. standard: its default. make generate writes this from daemon/jobhooks/contract/job_settings.py.
create or replace function jobhooks.settings_of_jobs()
returns table (
    setting text, kind text, lowest double precision, highest double precision, optional boolean, standard jsonb
)
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    values
        {rows}
$$;

comment on function jobhooks.settings_of_jobs() is
'The settings that a job has, with the kind, limits and default of each';
"""


def _setting_row(name: str, rule: Rule) -> str:
    lowest, highest = "null::double precision", "null::double precision"
    if rule.kind is Kind.COUNT:
        lowest, highest = "1", str(MAX_COUNT)
    elif rule.kind in (Kind.SECONDS, Kind.BACKOFF):
        lowest, highest = "0" if rule.zero else "1e-300", str(MAX_SECONDS)
    standard = json.dumps(DEFAULTS[name])
    return f"('{name}', '{rule.kind.value}', {lowest}, {highest}, {json.dumps(rule.optional)}, '{standard}'::jsonb)"


def receiver_reference() -> str:
    """The receiver reference, with its table of the attributes of ``class Meta``."""
    rows = "".join(f"| `{name}` | {_meta_default(name)} | {rule.about} |\n" for name, rule in RULES.items())
    table = f"| attribute | default | meaning |\n|---|---|---|\n{rows}"
    # The heading stays, and the rows below it are replaced.
    return re.sub(
        r"^\| attribute \| default \| meaning \|\n(\|.*\n)+",
        lambda _: table,
        RECEIVER.read_text("utf-8"),
        flags=re.MULTILINE,
    )


def _meta_default(name: str) -> str:
    default = DEFAULTS[name]
    if RULES[name].shown_default is not None:
        return str(RULES[name].shown_default)
    if default in (None, "", ()):
        return "none"
    return (
        f"`{default}`"
        if isinstance(default, bool)
        else f'`"{default}"`'
        if isinstance(default, str)
        else f"{default:g}"
    )


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    return ":".join(map(str, cast("tuple[object, ...]", default))) if isinstance(default, tuple) else str(default)


def command_reference() -> str:
    """Write the reference of all commands and their options from their ``--help``."""
    told = [
        "# Commands",
        "",
        "The `--help` of every command. See [the command line](command-line.md) for the rules that all commands share,",
        "and [settings](settings.md) for the settings. `make generate` writes this page.",
    ]
    for context in commands(command_tree(app)):
        told += ["", f"## {context.command_path}", "", *_told(context)]
    return "\n".join([*told, ""])


def _told(context: typer.Context) -> Iterator[str]:
    paragraphs = (context.command.help or "").split("\n\n")
    yield "\n\n".join(text for text in paragraphs if not text.startswith("Example: "))
    yield ""
    examples = [text.removeprefix("Example: ") for text in paragraphs if text.startswith("Example: ")]
    yield from (f"    {example}" for example in examples)
    parameters = [(_name(shown), shown) for shown in context.command.params if not getattr(shown, "hidden", False)]
    rows = [f"| {name} | {_help(shown)} |" for name, shown in parameters if not _is_setting(shown)]
    if rows:
        yield from ("", "| option | meaning |", "|---|---|", *rows)
    if settings := ", ".join(name for name, shown in parameters if _is_setting(shown)):
        yield from ("", f"Settings: {settings}")


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    value = f" {parameter.metavar}" if parameter.metavar else ""
    return f"`{', '.join(parameter.opts)}{value}`".replace("|", "\\|")


def _help(parameter: Any) -> str:
    text = parameter.help.replace("|", "\\|")
    default = parameter.default
    if parameter.required:
        return f"{text} Required."
    if default in (None, False) or callable(default):
        return text
    return f"{text} Default: `{getattr(default, 'value', default)}`."


def _is_setting(parameter: Any) -> bool:
    return getattr(parameter, "rich_help_panel", None) == PANEL


def main() -> None:
    """Write them all."""
    written = (
        (JOB_SETTINGS, job_settings()),
        (SCHEMA, schema()),
        (EXAMPLE, example()),
        (REFERENCE, reference()),
        (PARAMETERS_PAGE, connection_parameters()),
        (COMMANDS, command_reference()),
        (RECEIVER, receiver_reference()),
    )
    for path, text in written:
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
