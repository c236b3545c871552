"""``jobhooks replay --dry-run``: a receiver runs for a recorded change, and what it would have made of it is shown."""

from dataclasses import dataclass

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ACTION_STYLES, ADDED, ASIDE, REMOVED, key, print_difference, print_heading
from jobhooks.cli.show.output import console, one_line, print_json, printable, say
from jobhooks.contract.change import Change
from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.meta import ReceiverMeta
from jobhooks.discovery.loading import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.running.dry_run import Rehearsal, rehearse
from jobhooks.errors import TransactionEnded, UnknownJob
from jobhooks.matching.hook_table import Hook
from jobhooks.operations import changes, receivers
from jobhooks.runtime.settings import Settings
from jobhooks.store.captured_changes import ListedChange
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.snapshot import Snapshot

NO_HOOK = 0  # the id of none: its mark, and its idempotency key, are those of no delivery
KEPT = (
    "Nothing of it was kept. What it writes to tables that are not watched is not shown, and what it does outside of"
    " its connection has happened."
)
ENDED = "It ended its transaction, as no receiver may: what it wrote before that is kept."
STYLES = {
    JobResultStatus.SUCCESS: ADDED,
    JobResultStatus.FAILURE: REMOVED,
    JobResultStatus.DISCARDED: "yellow",
}


@dataclass(frozen=True)
class Write:
    """A change that a receiver would have made in a watched table; the rows are JSON as the log would have it."""

    table: str
    action: str
    object_key: msgspec.Raw
    removed: msgspec.Raw
    added: msgspec.Raw


@dataclass(frozen=True)
class DryRun:
    """What a receiver did with a change, and what it would have written."""

    change: int
    job: str
    status: JobResultStatus
    duration_ms: float
    error: str | None
    traceback: str | None
    retry_after: float | None
    value: msgspec.Raw
    log: list[str]
    writes: list[Write]


def print_dry_run(chosen: Settings, conn: SyncConnection, job: str, change: Change, *, as_json: bool) -> None:
    """Run the receiver ``job`` for a change, roll everything back, and print what came of it.

    Raises:
        UnknownJob: there is no such receiver.
        typer.Exit: it failed.
    """
    registry = receivers.find(chosen)
    found = registry.receivers.get(job)
    if found is None:
        raise UnknownJob(f"cannot run {job}: {registry.why_missing(job)}")
    memory_limit = chosen.worker_memory_limit * 1_000_000 or None
    rehearsal = rehearse(chosen.database_url, found, _delivery(conn, found, change), memory_limit)
    shown = _shown(job, change, rehearsal)
    if as_json:
        print_json(shown)
    else:
        print_heading(console(), changes.changes_with_ids(conn, [change.id])[0])
        _print(console(), shown, rehearsal.changes)
    say(ENDED if (shown.error or "").startswith(TransactionEnded.__name__) else KEPT)
    if shown.status is JobResultStatus.FAILURE:
        raise typer.Exit(1)


def _delivery(conn: SyncConnection, found: FoundReceiver, change: Change) -> Delivery:
    """Return the change as one that is owed to the receiver, within the limits that are in force for it."""
    settings = call(conn, "settings_of_job", found.class_path)
    soft_s, longest_s, is_sensitive = settings[0] if settings else _own_settings(found.meta)
    hook = Hook(
        NO_HOOK,
        "dry run",
        0,
        found.class_path,
        frozenset({change.content_type.id}),
        frozenset({change.action}),
        Snapshot.parse("1:1:"),
        soft_time_limit=soft_s,
        time_limit=longest_s,
        has_sensitive_variables=is_sensitive,
    )
    (delivery,) = deliveries_of(change, [hook])
    return delivery


def _own_settings(meta: ReceiverMeta) -> tuple[float | None, float | None, bool]:
    return meta.soft_time_limit, meta.time_limit, meta.has_sensitive_variables


def _shown(job: str, change: Change, rehearsal: Rehearsal) -> DryRun:
    outcome = rehearsal.outcome
    return DryRun(
        change.id,
        job,
        outcome.status,
        round((outcome.finished_at - outcome.started_at) * 1000, 1),
        outcome.error,
        outcome.traceback,
        outcome.retry_after,
        msgspec.Raw((outcome.value or "null").encode()),
        [f"{entry.level}: {': '.join(filter(None, (entry.object, entry.message)))}" for entry in outcome.log],
        [Write(made.table, made.action, made.object_key, made.removed, made.added) for made in rehearsal.changes],
    )


def _print(out: Console, shown: DryRun, made: list[ListedChange]) -> None:
    error = f": {shown.error}" if shown.error else ""
    out.print(
        Text.assemble(
            one_line(f"  {shown.job}: "),
            (shown.status, STYLES[shown.status]),
            one_line(f" in {shown.duration_ms:.0f} ms{error}"),
        )
    )
    for entry in shown.log:
        out.print(Text(one_line(f"    {entry}"), ASIDE))
    for traced in (shown.traceback or "").splitlines():
        out.print(Text(printable(f"    {traced}"), ASIDE))
    if shown.retry_after is not None:
        out.print(Text(f"  it asks to be run again in {shown.retry_after:g} seconds", ASIDE))
    if shown.value != msgspec.Raw(b"null"):
        out.print(Text(one_line(f"  it returned {bytes(shown.value).decode()}"), ASIDE))
    _print_writes(out, made)


def _print_writes(out: Console, made: list[ListedChange]) -> None:
    out.print(Text("it would write:" if made else "it would write nothing to tables that are watched", "bold"))
    for change in made:
        what = one_line(f" {change.table} {key(change)}".rstrip())
        out.print(Text.assemble((change.action, ACTION_STYLES[change.action]), what))
        print_difference(out, change)
