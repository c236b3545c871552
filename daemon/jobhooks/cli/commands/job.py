"""``jobhooks job``: lists, switches and configures the jobs of receivers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from jobhooks.cli import completion
from jobhooks.cli.commands import job_run
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.pairs import pairs
from jobhooks.cli.show.history import LimitFlag, print_history
from jobhooks.cli.show.output import console, local, print_json, print_message, print_records, printable
from jobhooks.cli.show.settings import in_words
from jobhooks.contract.choices import Ordering
from jobhooks.contract.job_settings import RULES, Kind
from jobhooks.operations.configuration import history as histories, jobs, receivers
from jobhooks.operations.configuration.jobs import Job, JobDetails, JobVersion, Value
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load

JobArgument = Annotated[str, typer.Argument(help="module.Class", metavar="JOB", autocompletion=completion.jobs)]
NO_LIMIT = ("none", "null")  # as the help and the database say
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Line:
    """A job on one line of a list."""

    class_path: str
    name: str
    grouping: str
    loaded: str
    enabled: bool
    version: str
    description: str


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Jobs: the receivers that were found.")
    group.command("list")(list_jobs)
    group.command("show")(show)
    group.command("enable")(enable)
    group.command("disable")(disable)
    group.command("set")(set_settings)
    group.command("reset")(reset)
    group.command("run")(job_run.run)
    group.command("delete")(delete)
    group.command("history")(history)
    app.add_typer(group, name="job")


def enable(
    job: JobArgument,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Switch a job on, so that hooks can run it.

    Example: jobhooks job enable validate_serial.ValidateSerial
    """
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    registry = receivers.find(chosen)
    with connection(chosen) as conn:
        receivers.enable(conn, registry, job)
        if as_json:
            print_json({"job": job, "enabled": True})
        print_message(f"enabled {job}")


def disable(
    job: JobArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Switch a job off: later changes skip it. Its hooks stay enabled, but run nothing.

    Example: jobhooks job disable validate_serial.ValidateSerial
    """
    with connection(load(config, database_url=database_url)) as conn:
        idle = jobs.disable_job(conn, job)
        if as_json:
            print_json({"job": job, "enabled": False})
        print_message(f"disabled {job}")
        if idle:
            quoted = ", ".join(f'"{name}"' for name in idle)
            print_message(f"warning: its enabled hooks run nothing until you enable it again: {quoted}")


def delete(
    job: JobArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Delete a job whose receiver is not installed any more, with its overrides. Its results and its history stay.

    Example: jobhooks job delete validate_serial.ValidateSerial
    """
    with connection(load(config, database_url=database_url)) as conn:
        jobs.delete_job(conn, job)
        if as_json:
            print_json({"job": job, "deleted": True})
        print_message(f"deleted {job}")


def list_jobs(
    everything: Annotated[bool, typer.Option("--all", help="Include hidden jobs.")] = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List the jobs, and whether the daemon has loaded them. Changes nothing; lists receivers found here on stderr.

    Example: jobhooks job list --all
    """
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    registry = receivers.find(chosen)
    with connection(chosen) as conn:
        found = receivers.listed_jobs(conn, hidden=everything)
        unknown = receivers.without_job(conn, registry)
    if as_json:
        print_json(found)
    else:
        print_records(Line, list(map(_line, found)), as_json=False)
    for problem in receivers.problems_of_receivers(registry):
        print_message(problem)
    if unknown:
        print_message(f"found here, and loaded by no daemon: {', '.join(unknown)}. Try: jobhooks job enable JOB")
    if any(job.loaded is None for job in found):
        print_message("no daemon leads, so the loaded receivers are unknown. Try: jobhooks run, or start its service")


def _line(job: Job) -> Line:
    loaded = "unknown" if job.loaded is None else in_words(job.loaded)
    version = job.package or job.version or "-"
    return Line(job.job, job.name, job.grouping or "-", loaded, job.enabled, version, job.description)


def show(
    job: JobArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Show a job: whether it runs, its hooks, its settings, and the receiver's defaults.

    Example: jobhooks job show validate_serial.ValidateSerial
    """
    with connection(load(config, database_url=database_url)) as conn:
        details = jobs.job_details(conn, job)
    if as_json:
        print_json(details)
        return
    out = console()
    for fact, value in _facts(details):
        out.print(Text.assemble((f"{fact:23} ", "dim"), printable(value)))


def set_settings(
    job: JobArgument,
    settings: Annotated[
        list[str], typer.Argument(help="Settings by the names of class Meta.", metavar="NAME=VALUE...")
    ],
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Override settings of the receiver's class Meta, until they are reset. A running daemon applies them immediately.

    A time limit can be none. order_by is object, table, none, or columns separated by commas. backoff can be several
    pauses, separated by commas; retry_on and no_retry_on are names of exception classes, or none.

    Example: jobhooks job set validate_serial.ValidateSerial max_attempts=5 time_limit=30
    """
    said = pairs(settings, "NAME=VALUE", "'NAME=VALUE...'", _setting_called)
    with connection(load(config, database_url=database_url)) as conn:
        wanted = {name: _value(name, text.strip()) for name, text in said.items()}
        jobs.set_job(conn, job, wanted)
        details = jobs.job_details(conn, job)
    if as_json:
        print_json(details)
    for name in wanted:
        print_message(
            f"set {name} of {job} to {in_words(details.settings[name])};"
            f" its receiver says {in_words(details.receiver[name])}"
        )
    soft, hard = details.settings["soft_time_limit"], details.settings["time_limit"]
    if isinstance(soft, float) and isinstance(hard, float) and soft >= hard:
        print_message(
            f"warning: a soft_time_limit of {in_words(soft)} is never met before a time_limit of {in_words(hard)}"
        )


def reset(
    job: JobArgument,
    names: Annotated[
        list[str] | None, typer.Argument(help="Settings to reset; by default all of them.", metavar="[NAME...]")
    ] = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Remove overrides, all or the named ones, so that the receiver's settings apply again.

    Example: jobhooks job reset validate_serial.ValidateSerial time_limit
    """
    with connection(load(config, database_url=database_url)) as conn:
        was_set = jobs.reset_job(conn, job, names or None)
    if as_json:
        print_json({"job": job, "reset": was_set})
    print_message(
        f"reset {', '.join(was_set)} of {job}" if was_set else f"nothing to reset: {job} has no such override"
    )


def history(
    job: Annotated[str | None, typer.Argument(help="module.Class", metavar="[JOB]")] = None,
    limit: LimitFlag = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show who changed the jobs, or one of them, when, and how; newest last. Includes changes by receivers.

    Example: jobhooks job history validate_serial.ValidateSerial
    """
    print_history(load(config, database_url=database_url), histories.Kind.JOB, job, limit, as_json=as_json)


def _setting_called(name: str) -> str:
    return name.strip().replace("-", "_")


def _value(name: str, text: str) -> Value:
    """Convert the text to the kind of its setting; invalid text stays text, which the database refuses."""
    match RULES[name].kind if name in RULES else Kind.TEXT:
        case Kind.FLAG:
            return WORDS.get(text.lower(), text)
        case Kind.COUNT:
            return int(text) if text.isdecimal() else text
        case Kind.SECONDS:
            return None if text in NO_LIMIT else _number(text)
        case Kind.BACKOFF:
            pauses = [_number(pause.strip()) for pause in text.split(",")]
            return pauses if len(pauses) > 1 else pauses[0]
        case Kind.ERRORS:
            return [name.strip() for name in text.split(",") if name.strip() not in ("", *NO_LIMIT)]
        case Kind.ORDER:
            return text if text in tuple(Ordering) else [column.strip() for column in text.split(",")]
        case _:
            return text


def _number(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _loaded(job: JobDetails) -> str:
    if job.loaded is None:
        return "unknown: no daemon leads"
    if not job.loaded:
        return "no"
    package = f" of {job.package}" if job.package else ""
    return f"yes, version {job.version or 'unknown'}{package}, from {job.loaded_from}"


def _facts(job: JobDetails) -> Iterator[tuple[str, str]]:
    yield "job", job.job
    yield "installed", "yes" if job.installed else "no: no daemon has loaded its receiver"
    yield "loaded", _loaded(job)
    yield "enabled", "yes" if job.enabled else f"no. Try: jobhooks job enable {job.job}"
    for name, value in job.settings.items():
        own = f", set instead of {in_words(job.receiver[name])}" if name in job.overridden else ""
        yield name, f"{in_words(value)}{own}"
    if job.data_schema is not None:
        yield "data", ", ".join(_fields(job.data_schema))
    for version in job.versions:
        if version.version != job.version:
            yield "other version" if job.version else "version", _described(version)
    for hook in job.hooks:
        runs = "" if hook.runs else f", which does not run: {hook.why_not}"
        yield "hook", f'"{hook.name}" on {", ".join(hook.events)} of {", ".join(hook.content_types)}{runs}'


def _described(version: JobVersion) -> str:
    package = f" of {version.package}" if version.package else ""
    first, last = local(version.first_loaded_at), local(version.last_loaded_at)
    return f"{version.version}{package}, first loaded {first}, last {last}"


def _fields(schema: dict[str, Any]) -> Iterator[str]:
    """The keys of a class Data, from its JSON Schema, with their types and defaults."""
    reference = schema.get("$ref", "").rpartition("/")[2]
    described = schema.get("$defs", {}).get(reference, schema)
    for key, value in described.get("properties", {}).items():
        type_ = value.get("type", "")
        default = f" = {in_words(value['default'])}" if "default" in value else ""
        yield f"{key}{f': {type_}' if type_ else ''}{default}"
