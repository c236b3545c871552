"""``jobhooks delivery``: what is owed to hooks, listed and shown, retried and discarded."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.cli.change import parse_moment
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import print_difference, print_heading
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.deliveries import Line, line, print_delivery
from jobhooks.cli.show.output import console, print_json, print_records, progress, say
from jobhooks.errors import Refused
from jobhooks.operations import changes, deliveries
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection


class Status(Enum):
    """The status of a debt, as the database has it."""

    WAITING = "waiting"
    BLOCKED = "blocked"
    DEAD = "dead"


ChangesArgument = Annotated[
    list[int] | None, typer.Argument(help="Numbers of changes.", metavar="CHANGE", max=changes.LAST_ID)
]
HookFlag = Annotated[
    str | None,
    typer.Option("--hook", help="Owed to this hook only.", metavar="NAME", autocompletion=completion.hooks),
]
TableFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        help="For changes of this table only, schema.table. Repeatable.",
        metavar="TABLE",
        autocompletion=completion.tables,
    ),
]
StatusFlag = Annotated[
    Status | None, typer.Option("--status", help="Of this status only.", metavar="waiting|blocked|dead")
]
SinceFlag = Annotated[
    str | None,
    typer.Option("--since", help="For changes from then on: 90s, 15m, 2h, 7d ago, or a time.", metavar="DURATION|TIME"),
]
UntilFlag = Annotated[
    str | None, typer.Option("--until", help="For changes before then.", metavar="DURATION|TIME", show_default=False)
]
ErrorFlag = Annotated[
    str | None, typer.Option("--error", help="With this in the error of the last attempt.", metavar="TEXT")
]
AllFlag = Annotated[bool, typer.Option("--all", help="All that there are.")]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dataclass(frozen=True)
class _Filters:
    """What was said on the command line of which debts are meant."""

    change_ids: list[int] | None
    hook: str | None
    table: list[str] | None
    status: Status | None
    since: str | None
    until: str | None
    error: str | None

    def __bool__(self) -> bool:
        given = (self.change_ids, self.hook, self.table, self.status, self.since, self.until, self.error)
        return any(value is not None and value != [] for value in given)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Deliveries that are owed: waiting, blocked or dead.")
    group.command("list")(list_deliveries)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("discard")(discard)
    app.add_typer(group, name="delivery")


def list_deliveries(  # noqa: PLR0913, RUF100 - the ways in which deliveries are looked for
    change: ChangesArgument = None,
    hook: HookFlag = None,
    table: TableFlag = None,
    status: StatusFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    error: ErrorFlag = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="At most so many, of the newest changes.")
    ] = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List the deliveries that are owed, by their changes, the newest last.

    waiting: attempted when due. blocked: behind an older one of the same object. dead: kept until somebody decides.

    Example: jobhooks delivery list 42 43

    Example: jobhooks delivery list --hook "Check serials" --status dead

    Example: jobhooks delivery list --error timeout --since 2h --json
    """
    filters = _Filters(change, hook, table, status, since, until, error)
    with connection(load(config, database_url=database_url)) as conn:
        found = deliveries.listed(conn, _wanted(conn, filters), limit)
    if as_json:
        print_json(found)
    else:
        print_records(Line, [line(delivery) for delivery in found], as_json=False)


def show(
    change: Annotated[int, typer.Argument(help="The number of a change.", metavar="CHANGE", max=changes.LAST_ID)],
    hook: HookFlag = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show what is owed for a change: the change, each attempt with its error and its log, when the next one is due.

    Example: jobhooks delivery show 42
    """
    with connection(load(config, database_url=database_url)) as conn:
        named = None if hook is None else deliveries.hook_called(conn, hook)
        found = deliveries.shown(conn, change, named)
        about = changes.listed_change(conn, change)
    if as_json:
        print_json({"change": about, "deliveries": found})
        return
    out = console()
    if about is not None:
        print_heading(out, about)
        print_difference(out, about)
    for delivery in found:
        print_delivery(out, delivery)


def retry(  # noqa: PLR0913, RUF100 - the ways in which deliveries are chosen
    change: ChangesArgument = None,
    hook: HookFlag = None,
    table: TableFlag = None,
    status: StatusFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    error: ErrorFlag = None,
    everything: AllFlag = False,
    yes: YesFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Attempt deliveries again at once, dead ones too; failures until now count no more.

    Example: jobhooks delivery retry 42

    Example: jobhooks delivery retry --hook "Check serials" --status dead --error timeout
    """
    filters = _Filters(change, hook, table, status, since, until, error)
    with connection(load(config, database_url=database_url)) as conn:
        chosen = _chosen(conn, filters, "retry", everything=everything)
        confirm(f"retry {_count(chosen)}", f"Attempts at once: {_by_status(chosen)}.", yes=yes)
        with progress("retrying", len(chosen)) as done:
            _report("retried", deliveries.retry(conn, chosen, done), len(chosen))


def discard(  # noqa: PLR0913, RUF100 - the ways in which deliveries are chosen
    change: ChangesArgument = None,
    hook: HookFlag = None,
    table: TableFlag = None,
    status: StatusFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    error: ErrorFlag = None,
    everything: AllFlag = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the record; by default who did it.")] = None,
    yes: YesFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Give deliveries up: they are not attempted any more, and what waits for them goes on.

    Example: jobhooks delivery discard 42 --reason "the device is gone"
    """
    filters = _Filters(change, hook, table, status, since, until, error)
    with connection(load(config, database_url=database_url)) as conn:
        chosen = _chosen(conn, filters, "discard", everything=everything)
        confirm(f"discard {_count(chosen)}", f"Gives up for good: {_by_status(chosen)}.", yes=yes)
        with progress("discarding", len(chosen)) as done:
            _report("discarded", deliveries.discard(conn, chosen, reason or None, done), len(chosen))


def _wanted(conn: SyncConnection, filters: _Filters) -> deliveries.Wanted:
    now = changes.server_time(conn)
    return deliveries.Wanted(
        filters.change_ids or None,
        None if filters.hook is None else deliveries.hook_called(conn, filters.hook),
        changes.content_types_called(conn, filters.table or []),
        None if filters.status is None else filters.status.value,
        parse_moment(filters.since, now, "--since"),
        parse_moment(filters.until, now, "--until"),
        filters.error,
    )


def _chosen(conn: SyncConnection, filters: _Filters, doing: str, *, everything: bool) -> list[deliveries.Owed]:
    """Return the debts that are meant: these, and no others that come while we ask, are then changed."""
    if bool(filters) == everything:
        raise typer.BadParameter(f"say which to {doing}: numbers of changes, --hook, --table, ...; or --all, alone")
    chosen = deliveries.owed(conn, _wanted(conn, filters))
    if not chosen:
        raise Refused(
            f"nothing to {doing}: no delivery that is owed is meant by that; jobhooks delivery list shows all"
        )
    if missing := sorted({*(filters.change_ids or [])} - {debt.change_id for debt in chosen}):
        say(f"passed over, since nothing that is meant is owed for it: {', '.join(f'change {id_}' for id_ in missing)}")
    return chosen


def _report(done: str, count: int, chosen: int) -> None:
    settled = "" if count == chosen else f"; {chosen - count} had been settled meanwhile"
    say(f"{done} {number(count, 'delivery', 'deliveries')}{settled}")


def _count(chosen: Sequence[deliveries.Owed]) -> str:
    return number(len(chosen), "delivery", "deliveries")


def _by_status(chosen: Sequence[deliveries.Owed]) -> str:
    counts = Counter(debt.status for debt in chosen)
    return ", ".join(f"{counts[status.value]} {status.value}" for status in Status if counts[status.value])
