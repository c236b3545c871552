"""``jobhooks hook``: the rules that lead changes to jobs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from rich.text import Text

from jobhooks.cli import completion, hook_apply
from jobhooks.cli.hook_plan import Step, in_words, saving, take
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.history import LimitFlag, print_history
from jobhooks.cli.show.output import console, print_json, print_records, printable, say
from jobhooks.operations import hook_file, hooks
from jobhooks.operations.history import Kind
from jobhooks.operations.hooks import HookDetails, HookSettings
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection

NameArgument = Annotated[
    str, typer.Argument(help="The name of a hook.", metavar="NAME", autocompletion=completion.hooks)
]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
TABLES = "A watched table, schema.table. Repeatable."
EVENTS = "Of create, update, delete and truncate, separated by commas."
JOB = "module.Class, as job list shows it."
DESCRIPTION = "What the hook is for."
COLUMNS = "An update fires only if this column, or another one named, changed. Repeatable."
CONDITIONS = "An expression that a change must satisfy, in CEL."
COALESCE = "Deliver the changes of an object as one: those of one transaction, or of so many seconds."
PRIORITY = "In lists the higher is before the lower."


@dataclass(frozen=True)
class Line:
    """A hook on one line of a list."""

    name: str
    content_types: list[str]
    events: list[str]
    job: str
    enabled: bool
    runs: bool
    why_not: str


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Job hooks: the rules that lead changes to jobs.")
    group.command("add")(add)
    group.command("list")(list_hooks)
    group.command("show")(show)
    group.command("edit")(edit)
    group.command("enable")(enable)
    group.command("disable")(disable)
    group.command("delete")(delete)
    group.command("history")(history)
    hook_apply.add_to(group)
    app.add_typer(group, name="hook")


def add(  # noqa: PLR0913, RUF100 - all that a hook can be
    name: Annotated[str, typer.Argument(help="A name of your choice.", metavar="NAME")],
    content_type: Annotated[list[str], typer.Option(help=TABLES, metavar="TABLE", autocompletion=completion.tables)],
    events: Annotated[str, typer.Option(help=EVENTS, metavar="EVENT[,EVENT...]")],
    job: Annotated[str, typer.Option(help=JOB, metavar="JOB", autocompletion=completion.jobs)],
    description: Annotated[str, typer.Option(help=DESCRIPTION)] = "",
    column: Annotated[list[str] | None, typer.Option(help=COLUMNS, metavar="COLUMN")] = None,
    conditions: Annotated[str, typer.Option(help=CONDITIONS, metavar="EXPRESSION")] = "",
    coalesce: Annotated[str | None, typer.Option(help=COALESCE, metavar="transaction|SECONDS")] = None,
    priority: Annotated[int, typer.Option(help=PRIORITY, metavar="N")] = 0,
    disabled: Annotated[bool, typer.Option("--disabled", help="Add it without enabling it.")] = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Add a hook: from now on, changes of these tables by these events run this job.

    Example: jobhooks hook add "Check serials" --content-type public.device --events create,update
    --job validate_serial.ValidateSerial

    Example: jobhooks hook add "Moves" --content-type public.device --events update --job moves.Tell
    --column site_id --column rack_id --coalesce transaction
    """
    with connection(load(config, database_url=database_url)) as conn:
        wanted = HookSettings(
            *(name, content_type, job, _events(events)),
            enabled=not disabled,
            priority=priority,
            description=description,
            columns=column or [],
            conditions=conditions,
            coalesce_s=_coalesce(coalesce),
        )
        _save(conn, saving(None, wanted))
        say(f'added hook "{name}"{", which is not enabled" if disabled else ""}')


def edit(  # noqa: PLR0913, RUF100 - all that a hook can be
    name: NameArgument,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.", metavar="NAME")] = None,
    content_type: Annotated[
        list[str] | None, typer.Option(help=TABLES, metavar="TABLE", autocompletion=completion.tables)
    ] = None,
    events: Annotated[str | None, typer.Option(help=EVENTS, metavar="EVENT[,EVENT...]")] = None,
    job: Annotated[str | None, typer.Option(help=JOB, metavar="JOB", autocompletion=completion.jobs)] = None,
    description: Annotated[str | None, typer.Option(help=DESCRIPTION)] = None,
    column: Annotated[
        list[str] | None, typer.Option(help=f"{COLUMNS} Empty: whichever changed.", metavar="COLUMN")
    ] = None,
    conditions: Annotated[str | None, typer.Option(help=f"{CONDITIONS} Empty: none.", metavar="EXPRESSION")] = None,
    coalesce: Annotated[
        str | None, typer.Option(help=f"{COALESCE} Or none.", metavar="transaction|SECONDS|none")
    ] = None,
    priority: Annotated[int | None, typer.Option(help=PRIORITY, metavar="N")] = None,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Change a hook in what is said; the rest stays, and so does what it is owed.

    Example: jobhooks hook edit "Check serials" --events create,update,delete

    Example: jobhooks hook edit "Moves" --column "" --coalesce none
    """
    with connection(load(config, database_url=database_url)) as conn:
        before = hooks.hook_details(conn, name)
        said = {
            "name": new_name,
            "content_types": None if content_type is None else hooks.table_names(conn, content_type),
            "events": None if events is None else _events(events),
            "job": job,
            "description": description,
            "columns": None if column is None else [each for each in column if each],
            "conditions": conditions,
            "priority": priority,
        }
        changes: dict[str, Any] = {setting: value for setting, value in said.items() if value is not None}
        if coalesce is not None:
            changes["coalesce_s"] = _coalesce(coalesce)
        if not changes:
            raise typer.BadParameter("say what to change: --events, --content-type, --column, ...")
        change = saving(before, replace(before, **changes))
        if not change.differences:
            say(f'hook "{name}" is so already')
            return
        _save(conn, change)
        told = [f"{one.setting} {in_words(one.before)} -> {in_words(one.after)}" for one in change.differences]
        say(f'changed hook "{name}": {"; ".join(told)}')


def enable(name: NameArgument, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Let a hook lead changes to its job: those that commit from now on.

    Example: jobhooks hook enable "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        hooks.enable_hook(conn, name)
        say(f'enabled hook "{name}"')


def disable(name: NameArgument, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Keep a hook from leading changes to its job: those from now on pass it by, and what it is owed waits.

    Example: jobhooks hook disable "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        hooks.enable_hook(conn, name, enabled=False)
        say(f'disabled hook "{name}"')


def delete(
    name: NameArgument, yes: YesFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Delete a hook. What it is owed is discarded; where that is something, it asks first. Its results stay.

    Example: jobhooks hook delete "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        owed = hooks.hook_details(conn, name).owed
        if owed:
            by_status = ", ".join(f"{count} {status}" for status, count in owed.items())
            confirm(
                f'delete hook "{name}", which is owed {number(sum(owed.values()), "delivery", "deliveries")}',
                f"Gives them up for good: {by_status}.",
                yes=yes,
            )
        discarded = hooks.delete_hook(conn, name)
        gone = f", and discarded {number(discarded, 'delivery', 'deliveries')}" if discarded else ""
        say(f'deleted hook "{name}"{gone}')


def list_hooks(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List the hooks: those of a higher priority first. runs: hook and job are both on; why not: what is in the way.

    Example: jobhooks hook list
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = hooks.hooks(conn)
    if as_json:
        print_json(found)
        return
    lines = [
        Line(hook.name, hook.content_types, hook.events, hook.job, hook.enabled, hook.runs, hook.why_not or "-")
        for hook in found
    ]
    print_records(Line, lines, as_json=False)


def show(
    name: NameArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Show a hook: what it is for, whether it runs and why not, what it is owed.

    Example: jobhooks hook show "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        hook = hooks.hook_details(conn, name)
    if as_json:
        print_json(hook)
        return
    out = console()
    for fact, value in _facts(hook):
        out.print(Text.assemble((f"{fact:13} ", "dim"), printable(value)))


def history(
    name: Annotated[str | None, typer.Argument(help="What a hook is, or was, called.", metavar="[NAME]")] = None,
    limit: LimitFlag = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show who changed the hooks, or one of them, when, and how; the newest last. Those that are deleted, too.

    Example: jobhooks hook history "Check serials"
    """
    print_history(load(config, database_url=database_url), Kind.HOOK, name, limit, as_json=as_json)


def _save(conn: SyncConnection, change: Step) -> None:
    take(conn, change)
    hook = hooks.hook_details(conn, change.wanted.name if change.wanted else change.name)
    if hook.enabled and hook.why_not:
        say(f'warning: hook "{hook.name}": {hook.why_not}')


def _events(events: str) -> list[str]:
    return hook_file.in_order(event.strip() for event in events.split(",") if event.strip())


def _coalesce(text: str | None) -> float | None:
    if text is None or text == "none":
        return None
    if text == hook_file.TRANSACTION:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= hook_file.LONGEST_WAIT:
        raise typer.BadParameter(
            f"{text} is neither transaction nor a number of seconds, more than 0 and at most {hook_file.LONGEST_WAIT}",
            param_hint="--coalesce",
        )
    return seconds


def _facts(hook: HookDetails) -> Iterator[tuple[str, str]]:
    yield "hook", hook.name
    if hook.description:
        yield "description", hook.description
    yield "job", hook.job
    for table in hook.content_types:
        yield "content type", table
    yield "events", ", ".join(hook.events)
    if hook.columns:
        yield "columns", f"{', '.join(hook.columns)}: an update fires only if one of them changed"
    if hook.conditions:
        yield "conditions", hook.conditions
    if hook.coalesce_s is not None:
        span = "one transaction" if hook.coalesce_s == 0 else in_words(hook.coalesce_s)
        yield "coalesce", f"the changes of an object within {span} are delivered as one"
    if hook.priority:
        yield "priority", str(hook.priority)
    yield "enabled", in_words(hook.enabled)
    yield "runs", in_words(hook.runs)
    if hook.why_not:
        yield "why not", hook.why_not
    if hook.condition_failures:
        changes = number(hook.condition_failures, "change", "changes")
        yield "passed by", f"about {changes}, for which its conditions could not be evaluated: {hook.condition_error}"
    if hook.owed:
        by_status = ", ".join(f"{count} {status}" for status, count in hook.owed.items())
        yield "owed", f"{number(sum(hook.owed.values()), 'delivery', 'deliveries')}: {by_status}"
