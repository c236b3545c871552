"""``jobhooks delivery``: lists, shows, retries, cancels and discards pending deliveries."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Annotated

import typer

from jobhooks.cli.filters import HookFlag, HooksFlag, SinceFlag, TablesFlag, UntilFlag, YesFlag, period, wrong_usage
from jobhooks.cli.option_groups import with_option_groups
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import print_difference, print_heading
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.deliveries import Line, cancelled, changed, in_words, line, print_delivery
from jobhooks.cli.show.output import console, print_json, print_message, print_records, progress
from jobhooks.operations import changes
from jobhooks.operations.delivering import cancelling, deliveries
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection


class State(Enum):
    """The state of a pending delivery."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    RETRYING = "retrying"
    WAITING = "waiting"
    PAUSED = "paused"
    BLOCKED = "blocked"
    DEAD = "dead"


ChangesArgument = Annotated[
    list[int] | None, typer.Argument(help="Ids of changes.", metavar="CHANGE", max=changes.LAST_ID)
]
StateFlag = Annotated[
    list[State] | None,
    typer.Option(
        "--state",
        help="Only of this state: running, interrupted, retrying, waiting, paused, blocked, dead. Repeatable.",
        metavar="STATE",
    ),
]
# The former name of --state.
StatusFlag = Annotated[list[State] | None, typer.Option("--status", hidden=True, help="As --state.", metavar="STATE")]
ErrorFlag = Annotated[
    str | None, typer.Option("--error", help="Only with this text in the error of the last attempt.", metavar="TEXT")
]
CHOOSE_TO_DISCARD = partial(deliveries.choose, wait_s=deliveries.SHOWN_AFTER_S)
AllFlag = Annotated[bool, typer.Option("--all", help="All pending deliveries.")]


@dataclass(frozen=True)
class DeliveryOptions:
    """The options that choose pending deliveries."""

    change: ChangesArgument = None
    hook: HooksFlag = None
    table: TablesFlag = None
    state: StateFlag = None
    status: StatusFlag = None
    since: SinceFlag = None
    until: UntilFlag = None
    error: ErrorFlag = None

    def filter(self, conn: SyncConnection) -> deliveries.DeliveryFilter:
        """The filter that they describe; times by the clock of the database server."""
        named = (self.change or (), self.hook or (), self.table or ())
        states = [state.value for state in (*(self.state or ()), *(self.status or ()))]
        return deliveries.DeliveryFilter(*named, None, *period(conn, self.since, self.until), self.error, states)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Pending deliveries: running, waiting, blocked or dead.")
    group.command("list")(list_deliveries)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("cancel")(cancel)
    group.command("discard")(discard)
    app.add_typer(group, name="delivery")


@with_option_groups
def list_deliveries(
    chosen: DeliveryOptions,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most this many, of the newest changes.")] = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List pending deliveries by change, newest last.

    running: for a second or longer, in this process. interrupted: its daemon is gone, and the next one begins again.
    waiting, retrying: attempted when due; retrying after a failure. paused: its hook is. blocked: behind an older
    delivery of the same object. dead: kept until you retry or discard it.

    Example: jobhooks delivery list 42 43

    Example: jobhooks delivery list --state running

    Example: jobhooks delivery list --hook "Check serials" --state dead

    Example: jobhooks delivery list --error timeout --since 2h --json
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = deliveries.pending_deliveries(conn, chosen.filter(conn), limit)
    if as_json:
        print_json(found)
    else:
        print_records(Line, [line(delivery) for delivery in found], as_json=False)


def show(
    change: Annotated[int, typer.Argument(help="The id of a change.", metavar="CHANGE", max=changes.LAST_ID)],
    hook: HookFlag = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show the pending deliveries of a change: each attempt with its error and log, and when the next one is due.

    For one that runs: since when, where, and its log so far.

    Example: jobhooks delivery show 42
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = deliveries.delivery_details(conn, change, hook)
    if as_json:
        print_json(found)
        return
    out = console()
    if found.change is not None:
        print_heading(out, found.change)
        print_difference(out, found.change)
    for delivery in found.deliveries:
        print_delivery(out, delivery)


@with_option_groups
def retry(
    chosen: DeliveryOptions,
    everything: AllFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Attempt deliveries again now, dead ones included. Their earlier failures no longer count.

    Example: jobhooks delivery retry 42

    Example: jobhooks delivery retry --hook "Check serials" --state dead --error timeout
    """
    with connection(load(config, database_url=database_url)) as conn:
        plan = _plan(conn, chosen.filter(conn), everything=everything)
        confirm(f"retry {_count(plan)}", f"Makes due now: {in_words(plan.by_state)}.", yes=yes)
        _report("retried", deliveries.retry(conn, plan, progress), as_json=as_json)


@with_option_groups
def cancel(
    chosen: DeliveryOptions,
    everything: AllFlag = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the result.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait until the runs have ended.")
    ] = cancelling.WAIT_S,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """End runs. Their attempts fail; their deliveries are dead until you retry them.

    A def receiver's process is killed; an async def receiver is cancelled, and has five seconds to clean up. A run in
    its first second is not shown yet: if you name its change, the command waits for it.

    Example: jobhooks delivery cancel 42 --reason "wrong device"

    Example: jobhooks delivery cancel --hook "Sync all" --yes
    """
    with connection(load(config, database_url=database_url)) as conn:
        plan = _plan(conn, chosen.filter(conn), everything=everything, choose=cancelling.choose_running)
        confirm(f"cancel {_count(plan)}", f"Ends the runs: {in_words(plan.by_state)}.", yes=yes)
        outcome = cancelling.cancel(conn, plan, reason, wait, progress)
    if as_json:
        print_json(outcome)
    else:
        print_message(cancelled(outcome))


@with_option_groups
def discard(
    chosen: DeliveryOptions,
    everything: AllFlag = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the result; by default who did it.")] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Give deliveries up for good: they are not attempted again, and those behind them run. A run in progress is ended.

    A run in its first second is not shown yet: if you name its change, the command waits for it.

    Example: jobhooks delivery discard 42 --reason "the device is gone"
    """
    with connection(load(config, database_url=database_url)) as conn:
        plan = _plan(conn, chosen.filter(conn), everything=everything, choose=CHOOSE_TO_DISCARD)
        confirm(f"discard {_count(plan)}", f"Gives up for good: {in_words(plan.by_state)}.", yes=yes)
        _report("discarded", deliveries.discard(conn, plan, reason, progress), as_json=as_json)


def _plan(
    conn: SyncConnection,
    chosen: deliveries.DeliveryFilter,
    *,
    everything: bool,
    choose: Callable[..., deliveries.DeliveryPlan] = deliveries.choose,
) -> deliveries.DeliveryPlan:
    if chosen.is_empty != everything:
        raise typer.BadParameter("choose deliveries by ids of changes, --hook, --table, ...; or --all, alone")
    with wrong_usage():
        plan = choose(conn, chosen, everything=everything)
    if plan.passed_over:
        ids = ", ".join(f"change {id_}" for id_ in plan.passed_over)
        print_message(f"passed over, because no pending delivery of it matches: {ids}")
    return plan


def _report(done: str, outcome: deliveries.DeliveriesChanged, *, as_json: bool) -> None:
    if as_json:
        print_json(outcome)
    else:
        print_message(changed(done, outcome))


def _count(plan: deliveries.DeliveryPlan) -> str:
    return number(len(plan.deliveries), "delivery", "deliveries")
