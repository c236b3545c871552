"""``jobhooks hook``: the rules that run jobs for changes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from jobhooks.cli import completion
from jobhooks.cli.commands import hook_apply
from jobhooks.cli.hook_flags import given_data, given_settings, with_flags_to_add, with_flags_to_edit
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.deliveries import in_words as counts_in_words
from jobhooks.cli.show.history import LimitFlag, print_history
from jobhooks.cli.show.output import console, print_json, print_message, print_records, printable
from jobhooks.cli.show.settings import differences_in_words, in_words
from jobhooks.cli.show.status import held_up_line
from jobhooks.matching.hook_settings import DEFAULTS, REQUEST_S, RULES, HookSettings, Kind, shown_name
from jobhooks.matching.rate import OBJECT
from jobhooks.operations.configuration import history as histories, hooks, receivers
from jobhooks.operations.configuration.hook_plan import Step, adding, editing, take
from jobhooks.operations.configuration.hooks import HookDetails, JobHook
from jobhooks.operations.opening import connection
from jobhooks.operations.status import held_up
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection

NameArgument = Annotated[
    str, typer.Argument(help="The name of a hook.", metavar="NAME", autocompletion=completion.hooks)
]
NamesArgument = Annotated[
    list[str], typer.Argument(help="The names of hooks.", metavar="NAME...", autocompletion=completion.hooks)
]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True)
class Line:
    """A hook on one line of a list."""

    name: str
    content_types: list[str]
    events: list[str]
    job: str
    enabled: bool
    runs: str
    why_not: str


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Job hooks: the rules that run jobs for changes.")
    group.command("add")(add)
    group.command("list")(list_hooks)
    group.command("show")(show)
    group.command("edit")(edit)
    group.command("enable")(enable)
    group.command("disable")(disable)
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("delete")(delete)
    group.command("history")(history)
    hook_apply.add_to(group)
    app.add_typer(group, name="hook")


@with_flags_to_add
def add(
    name: Annotated[str, typer.Argument(help=RULES["name"].about, metavar="NAME")],
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
    **given: Any,
) -> None:
    """Add a hook: from now on, these events on these tables run this job.

    Example: jobhooks hook add "Check serials" --content-type public.device --events create,update
    --job validate_serial.ValidateSerial

    Example: jobhooks hook add "Moves" --content-type public.device --events update --job moves.Tell
    --column site_id --column rack_id --coalesce transaction

    Example: jobhooks hook add "Index" --content-type public.device --events create,update,delete
    --job index.Index --debounce 5s --longest-wait 1min

    Example: jobhooks hook add "Tell operations" --content-type public.device --events delete --job chat.Tell
    --data channel=operations --data urgent=true
    """
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    with connection(chosen) as conn:
        wanted = HookSettings(name=name, **given_settings(given))
        wanted = replace(wanted, data={**wanted.data, **given_data(given)})
        _save(conn, adding(conn, wanted, partial(receivers.find, chosen)), as_json=as_json)
        print_message(f'added hook "{name}"{"" if wanted.enabled else ", which is not enabled"}')


@with_flags_to_edit
def edit(
    name: NameArgument,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
    **given: Any,
) -> None:
    """Change settings of a hook. The other settings and its pending deliveries stay.

    Example: jobhooks hook edit "Check serials" --events create,update,delete

    Example: jobhooks hook edit "Moves" --column "" --coalesce none
    """
    if not given_settings(given) and not given_data(given):
        raise typer.BadParameter("name a setting to change: --events, --content-type, --column, ...")
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    with connection(chosen) as conn:
        find = partial(receivers.find, chosen)
        step = editing(conn, name, given_settings(given), find, more_data=given_data(given))
        if not step.differences:
            if as_json:
                print_json(hooks.hook_details(conn, name))
            print_message(f'nothing to change: hook "{name}" already has these settings')
            return
        _save(conn, step, as_json=as_json)
        print_message(f'changed hook "{name}": {differences_in_words(step.differences)}')


def enable(
    name: NameArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Switch a hook on, for changes that commit from now on.

    Example: jobhooks hook enable "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        hooks.enable_hook(conn, name)
        if as_json:
            print_json({"hook": name, "enabled": True})
        print_message(f'enabled hook "{name}"')


def disable(
    name: NameArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Switch a hook off: later changes skip it, and its pending deliveries wait. hook pause makes the changes wait.

    Example: jobhooks hook disable "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        hooks.enable_hook(conn, name, enabled=False)
        if as_json:
            print_json({"hook": name, "enabled": False})
        print_message(f'disabled hook "{name}"')


def pause(
    names: NamesArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Stop hooks for now: they run nothing, and keep their place in the log and their pending deliveries.

    Runs that have begun go on. The log keeps all changes from there on until the hook is resumed or disabled.

    Example: jobhooks hook pause "Check serials"
    """
    _pause(names, database_url, config, paused=True, as_json=as_json)


def resume(
    names: NamesArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Let paused hooks go on where they were, with the changes that committed in between.

    Example: jobhooks hook resume "Check serials"
    """
    _pause(names, database_url, config, paused=False, as_json=as_json)


def delete(
    name: NameArgument,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Delete a hook and discard its pending deliveries; asks if there are any. Its results stay.

    Example: jobhooks hook delete "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        pending = hooks.hook_details(conn, name).deliveries
        if pending:
            total = sum(pending.values())
            confirm(
                f'delete hook "{name}", which has {number(total, "pending delivery", "pending deliveries")}',
                f"Discards them: {counts_in_words(pending)}.",
                yes=yes,
            )
        discarded = hooks.delete_hook(conn, name)
        if as_json:
            print_json({"hook": name, "discarded": discarded})
        gone = f", and discarded {number(discarded, 'delivery', 'deliveries')}" if discarded else ""
        print_message(f'deleted hook "{name}"{gone}')


def list_hooks(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List the hooks, higher priority first. runs: hook and job are both on; why not: the obstacle.

    Example: jobhooks hook list
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = hooks.hooks(conn)
        dead = held_up(conn)
    if as_json:
        print_json(found)
        return
    lines = [
        Line(
            hook.name,
            hook.content_types,
            hook.events,
            hook.job,
            hook.enabled,
            _runs(hook),
            hook.why_not or _wait_in_words(hook) or "-",
        )
        for hook in found
    ]
    print_records(Line, lines, as_json=False)
    for held in dead:
        print_message(f"warning: {held_up_line(held)}")


def show(
    name: NameArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Show a hook: its settings, whether it runs and why not, its pending deliveries.

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
    name: Annotated[
        str | None, typer.Argument(help="The name of a hook, or of a deleted one.", metavar="[NAME]")
    ] = None,
    limit: LimitFlag = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show who changed the hooks, or one of them, when, and how; newest last. Includes deleted hooks.

    Example: jobhooks hook history "Check serials"
    """
    print_history(load(config, database_url=database_url), histories.Kind.HOOK, name, limit, as_json=as_json)


def _pause(names: list[str], database_url: str | None, config: Path | None, *, paused: bool, as_json: bool) -> None:
    with connection(load(config, database_url=database_url)) as conn:
        hooks.pause_hooks(conn, names, paused=paused)
        obstacles = {name: hooks.hook_details(conn, name).why_not for name in names}
    if as_json:
        print_json([{"hook": name, "paused": paused} for name in names])
    for name, why_not in obstacles.items():
        print_message(f'{"paused" if paused else "resumed"} hook "{name}"')
        if why_not and not paused:
            print_message(f'warning: hook "{name}": {why_not}')


def _save(conn: SyncConnection, step: Step, *, as_json: bool) -> None:
    take(conn, step)
    hook = hooks.hook_details(conn, step.wanted.name if step.wanted else step.name)
    if as_json:
        print_json(hook)
    if hook.enabled and hook.why_not:
        print_message(f'warning: hook "{hook.name}": {hook.why_not}')


def _runs(hook: JobHook) -> str:
    return "yes, when a daemon runs" if hook.runs and hook.loaded is None else in_words(hook.runs)


def _facts(hook: HookDetails) -> Iterator[tuple[str, str]]:
    yield "hook", hook.name
    for setting, rule in RULES.items():
        value = getattr(hook, setting)
        if setting in ("name", "enabled") or (setting in DEFAULTS and value == DEFAULTS[setting]):
            continue
        if rule.kind is Kind.TABLES:
            yield from (("content type", table) for table in value)
        else:
            yield shown_name(setting), _setting_in_words(rule.kind, value)
        if setting == "coalesce_s" and hook.debounce_s is None and hook.merges_requests:
            yield shown_name("debounce_s"), f"{in_words(hook.quiet_s)}, by default"
        if setting == "debounce_s" and hook.longest_wait_s is None:
            yield shown_name("longest_wait_s"), f"{in_words(hook.waits_at_most_s)}, by default"
    yield "enabled", in_words(hook.enabled)
    yield "runs", _runs(hook)
    if hook.why_not:
        yield "why not", hook.why_not
    if wait := _wait_in_words(hook):
        yield "waits", wait
    yield from (("passed by", changes) for changes in _passed_by(hook))
    if hook.deliveries:
        total = number(sum(hook.deliveries.values()), "delivery", "deliveries")
        yield "pending", f"{total}: {counts_in_words(hook.deliveries)}"


def _passed_by(hook: JobHook) -> Iterator[str]:
    """The changes that the hook did not run for, which a reader may expect it to run for."""
    if hook.condition_failures:
        changes = number(hook.condition_failures, "change", "changes")
        yield f"about {changes}, for which its conditions could not be evaluated: {hook.condition_error}"
    if hook.chain_ends:
        changes = number(hook.chain_ends, "change", "changes")
        yield f"about {changes} deeper in a chain than its chain_depth; the last is change {hook.chain_end_change_id}"


def _wait_in_words(hook: JobHook) -> str | None:
    """The deliveries that wait for a hook's rate."""
    if hook.next_at is None:
        return None
    at = f"{hook.next_at.astimezone():%Y-%m-%d %H:%M:%S}"
    if not hook.rate_per:
        return f"for its rate of {hook.rate}: the next run may begin at {at}"
    keys = number(hook.keys_at_rate, "key has", "keys have")
    return f"{keys} used the rate of {hook.rate}; the next run of one may begin at {at}"


def _setting_in_words(kind: Kind, value: Any) -> str:
    match kind:
        case Kind.COLUMNS:
            return f"{', '.join(value)}: an update fires only if one of them changed"
        case Kind.RATE_KEY:
            return "each object" if value == [OBJECT] else f"each value of {', '.join(value)}"
        case Kind.ROLES:
            return f"{', '.join(value)}: only their sessions trigger it"
        case Kind.DATA:
            return ", ".join(f"{key}={in_words(item)}" for key, item in value.items())
        case Kind.COALESCE:
            span = {0.0: "one transaction", REQUEST_S: "one request"}.get(value) or in_words(value)
            return f"the changes of an object within {span} are delivered as one"
        case Kind.DEPTH:
            return f"{value}: it also runs for receivers' writes, up to {number(value, 'run', 'runs')} deep"
        case Kind.DURATION:
            return in_words(value)
        case Kind.TEXT:
            return value
        case _:
            return in_words(value)
