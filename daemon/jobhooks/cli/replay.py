"""``jobhooks replay``: changes that are settled, or older than a hook, are delivered to it again."""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from jobhooks.cli import completion
from jobhooks.cli.change import parse_moment
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, ReceiversFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.output import progress, say
from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices, Ordering
from jobhooks.contract.content_type import ContentType
from jobhooks.engine.delivery.delivery import deliveries_of
from jobhooks.engine.delivery.lane import lane_numbers
from jobhooks.errors import Refused
from jobhooks.matching.condition_failures import ConditionFailures
from jobhooks.matching.conditions import check_conditions
from jobhooks.matching.hook_table import Hook, Rule
from jobhooks.operations import changes, deliveries
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.change_rows import ContentTypes, change_of
from jobhooks.store.connections import SyncConnection
from jobhooks.store.snapshot import Snapshot

if TYPE_CHECKING:
    import asyncpg


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(  # noqa: PLR0913, RUF100 - the ways in which changes are chosen
    hook: Annotated[
        str | None,
        typer.Option(help="The hook that they are delivered to.", metavar="NAME", autocompletion=completion.hooks),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            help="Changes of this table only, schema.table. Repeatable.",
            metavar="TABLE",
            autocompletion=completion.tables,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: 90s, 15m, 2h, 7d ago, or a time.", metavar="DURATION|TIME")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before then.", metavar="DURATION|TIME")] = None,
    change: Annotated[
        list[int] | None,
        typer.Option(help="This change only, by its number. Repeatable.", metavar="CHANGE", max=changes.LAST_ID),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Run --job for --change here, show what it would have changed, and keep nothing."
        ),
    ] = False,
    job: Annotated[str | None, typer.Option(help="With --dry-run: the receiver, module.Class.", metavar="JOB")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON, for programs.")] = False,
    receivers_path: ReceiversFlag = None,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Deliver changes of the log to a hook again: those that it had, and those from before there was the hook.

    Of the log's changes those are meant that the hook is for, by its tables, events, columns and conditions as they are
    now. What is owed to it already stays as it is, and what the daemon has yet to read comes anyway.

    With --dry-run a receiver runs for one change in a process of this command, be its job enabled or not, and what it
    wrote is shown and rolled back. What it does outside of its connection does happen: requests, files, mails.

    Example: jobhooks replay --hook "Check serials" --since 2h

    Example: jobhooks replay --hook "Check serials" --table public.device --since 2026-03-01 --until 2026-03-02

    Example: jobhooks replay --dry-run --change 42 --job validate_serial.ValidateSerial
    """
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    if dry_run:
        from jobhooks.cli.show.dry_run import print_dry_run  # noqa: PLC0415, RUF100 - the engine, which all commands would load

        job_named, change_id = _to_be_tried(job, change, others=[hook, table, since, until, yes or None])
        with connection(chosen) as conn:
            print_dry_run(chosen, conn, job_named, _logged_change(conn, change_id), as_json=as_json)
        return
    if hook is None:
        raise typer.BadParameter("say to which --hook, or --dry-run with a --job")
    if job is not None or as_json:
        raise typer.BadParameter("--job and --json are for --dry-run")
    with connection(chosen) as conn:
        now = changes.server_time(conn)
        named = deliveries.hook_called(conn, hook)
        wanted = deliveries.WantedReplay(
            named,
            changes.content_types_called(conn, table or []),
            change or None,
            parse_moment(since, now, "--since"),
            parse_moment(until, now, "--until"),
        )
        ids = deliveries.replayable(conn, wanted)
        if not ids:
            raise Refused(
                f'nothing to replay: no change that is meant is settled, or older than the hook "{hook}", and not owed'
                " to it already; jobhooks delivery list shows what is owed"
            )
        ids = _asked_for(conn, named, ids)
        if missing := sorted({*(change or [])} - {*ids}):
            say(f"passed over, since it cannot be replayed: {', '.join(f'change {id_}' for id_ in missing)}")
        what = number(len(ids), "change", "changes")
        confirm(
            f'deliver {what} to the hook "{hook}" again',
            f"{named.job} will run again, for changes {ids[0]} to {ids[-1]}.",
            yes=yes,
        )
        queued = queue(conn, named, ids)
        say(f"queued {number(queued, 'delivery', 'deliveries')}{_obstacle(named)}")


def _to_be_tried(job: str | None, change: list[int] | None, others: list[object]) -> tuple[str, int]:
    """Return the receiver and the change of a dry run."""
    if job is None or change is None or len(change) != 1 or any(other is not None for other in others):
        raise typer.BadParameter("--dry-run takes a --job and one --change, and nothing else that says which")
    return job, change[0]


def _logged_change(conn: SyncConnection, id_: int) -> Change:
    rows = list(deliveries.logged_changes(conn, [id_]))
    if not rows:
        changes.change_by_id(conn, id_)  # which says that there is none, and which there are
    return change_of(cast("asyncpg.Record", rows[0]), _content_types(conn))


def _asked_for(conn: SyncConnection, named: deliveries.NamedHook, ids: "array[int]") -> "array[int]":
    """Return those of the changes that the hook's columns and conditions ask for.

    Raises:
        InvalidConditions: its conditions can be evaluated for none.
        Refused: there are none.
    """
    hook, content_types = _hook(named), _content_types(conn)
    if not hook.columns and not hook.conditions:
        return ids
    if hook.conditions:
        check_conditions(hook.conditions)
    failures = ConditionFailures()
    rule = Rule(hook, failures.count)
    wanted = array("q")
    with progress("looking at", len(ids)) as done:
        for batch in deliveries.batches(ids):
            changes = (
                change_of(cast("asyncpg.Record", row), content_types) for row in deliveries.logged_changes(conn, batch)
            )
            wanted.extend(change.id for change in changes if rule.wants(change))
            done(len(batch))
    for failed in failures.take().values():
        many = number(failed.changes, "change", "changes")
        say(f"passed over, since the hook's conditions could not be evaluated: {many}; {failed.last.error}")
    if not wanted:
        raise Refused(
            f'nothing to replay: of {number(len(ids), "change", "changes")} the hook "{hook.name}" asks for none'
        )
    return wanted


def queue(conn: SyncConnection, named: deliveries.NamedHook, ids: Sequence[int]) -> int:
    """Make debts of the changes, the oldest first, so that none is due before one that it must wait for."""
    hook, content_types = _hook(named), _content_types(conn)
    queued = 0
    with progress("queueing", len(ids)) as done:
        for batch in deliveries.batches(ids):
            debts = [_debt(row, hook, content_types) for row in deliveries.logged_changes(conn, batch)]
            queued += deliveries.park_again(conn, debts)
            done(len(batch))
    return queued


def _debt(row: tuple[object, ...], hook: Hook, content_types: ContentTypes) -> dict[str, object]:
    """Return a debt as jobhooks.park_again takes it, in the lanes in which the daemon would have it."""
    change = change_of(cast("asyncpg.Record", row), content_types)  # of which it needs no more than the order
    (delivery,) = deliveries_of(change, [hook])
    lane, other_lane = lane_numbers(delivery.lanes)
    return {
        "change_id": change.id,
        "hook_id": hook.id,
        "content_type_id": change.content_type.id,
        "lane": lane,
        "other_lane": other_lane,
    }


def _hook(named: deliveries.NamedHook) -> Hook:
    return Hook(
        named.id,
        named.name,
        named.job_id,
        named.job,
        frozenset(named.content_type_ids),
        frozenset(map(ObjectChangeActionChoices, named.events)),
        Snapshot.parse(named.enabled_since),
        order_by=Ordering(named.order_by),
        order_columns=tuple(named.order_columns),
        columns=frozenset(named.columns),
        conditions=named.conditions,
    )


def _content_types(conn: SyncConnection) -> ContentTypes:
    return {
        id_: ContentType(id_, name, schema, table, tuple(key_columns), tuple(key_types), frozenset(ignored))
        for id_, name, schema, table, key_columns, ignored, key_types in deliveries.content_types(conn)
    }


def _obstacle(named: deliveries.NamedHook) -> str:
    return "" if named.runs else f"; they run once the hook and its job {named.job} are both enabled and installed"
