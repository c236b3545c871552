"""The files that are generated from the code: written by ``make generate``, and held to by a test."""

import contextlib
import re
import subprocess
from pathlib import Path
from typing import cast

from jobhooks.embedded import EmbeddedServer, run_server, wheel_binaries
from jobhooks.service.settings import PREFIX, Settings, example
from jobhooks.store.connections import connect
from jobhooks.store.install import install

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "sql" / "schema.sql"
EXAMPLE = ROOT / "daemon" / "jobhooks.example.toml"
REFERENCE = ROOT / "docs" / "reference" / "settings.md"


def schema() -> str:
    """Return the schema as pg_dump writes it, without what differs from run to run."""
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
    # The functions are in functions/ as they are here; what may be done with them is told by the grants alone.
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
            "A flag wins over the environment, the environment over the file, the file over the defaults. The file",
            "is `/etc/jobhooks/jobhooks.toml`, or what `--config` or `JOBHOOKS_CONFIG` names. Flags are written with",
            "dashes, `--database-url`; those that a command takes are in its `--help`. `make generate` writes this.",
            "",
            "| in the file | in the environment | default | what it is |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    return ":".join(map(str, cast("tuple[object, ...]", default))) if isinstance(default, tuple) else str(default)


def main() -> None:
    """Write them all."""
    for path, text in ((SCHEMA, schema()), (EXAMPLE, example()), (REFERENCE, reference())):
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
