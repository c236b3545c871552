"""What became of deliveries, as a person looks for it: attempt by attempt, with what receivers logged.

There are as many as deliveries ever were. They are taken page by page by their key, and each page is thinned out to
what is asked for: so no statement takes long, memory is bounded, and no snapshot is held while somebody reads.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jobhooks.errors import Refused, UnknownJob
from jobhooks.operations.changes import ids_between, listed_change
from jobhooks.operations.object_keys import ObjectKey, key_of
from jobhooks.store.captured_changes import ListedChange
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.json_rows import as_json
from jobhooks.store.undecodable_text import call_readable

PAGE = 2_000  # results, or lines, that are looked at at once
LAST_INTEGER = 2**31 - 1
WRITTEN = 100  # changes of a run that are told
LEVELS = ("debug", "info", "success", "warning", "failure")

Identity = tuple[int, int, int]  # the change, the hook and the attempt


@dataclass(frozen=True)
class Wanted:
    """Which results are asked for; None: all. Tables are given by the ids of their content types, times by changes."""

    hook_id: int | None = None
    job_id: int | None = None
    content_type_ids: list[int] | None = None
    key: ObjectKey | None = None
    status: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


@dataclass(frozen=True)
class LogLine:
    """A line that a receiver logged; ``object``: what it is about, if it said so."""

    time: datetime.datetime
    level: str
    object: str | None
    message: str


@dataclass(frozen=True)
class FoundLine(LogLine):
    """A line with the attempt that logged it."""

    change_id: int
    hook: str | None
    job: str | None
    attempt: int


@dataclass(frozen=True)
class ListedResult:
    """What an attempt did. ``hook`` is None once it is gone, and so are ``table`` and ``action`` with the change."""

    change_id: int
    hook: str | None
    job: str | None
    attempt: int
    status: str
    started_at: datetime.datetime
    finished_at: datetime.datetime
    duration_ms: float
    error: str | None
    table: str | None
    action: str | None
    object_key: msgspec.Raw


@dataclass(frozen=True)
class WholeResult(ListedResult):
    """With all that is stored of it; ``value`` is what the receiver returned, as JSON."""

    traceback: str | None
    value: msgspec.Raw
    log: list[LogLine]


@dataclass(frozen=True)
class ShownResult(WholeResult):
    """With the changes that the receiver made, the first hundred if they are more."""

    wrote: list[ListedChange]


def job_called(conn: SyncConnection, class_path: str) -> int:
    """Return the number of a job.

    Raises:
        UnknownJob: there is none of that class path.
    """
    rows = call(conn, "job_called", class_path)
    if not rows:
        raise UnknownJob(f"there is no job {class_path}")
    return rows[0][0]


def newest_results(conn: SyncConnection, wanted: Wanted, limit: int) -> list[ListedResult]:
    """Return the results of the newest changes that are wanted, oldest first."""
    found: list[ListedResult] = []
    for page in _pages_before(conn, wanted):
        if len(found) >= limit:
            break
        chosen = _matching(conn, page, wanted, limit - len(found))
        found += reversed([ListedResult(*row[:12]) for row in _by_identity(conn, chosen)])
    return found[::-1]


def newest_lines(conn: SyncConnection, wanted: Wanted, levels: Sequence[str] | None, limit: int) -> list[FoundLine]:
    """Return what was logged last in the results that are wanted, at these levels, oldest first."""
    found: list[FoundLine] = []
    first, last = ids_between(conn, wanted.since, wanted.until)
    before = (last, LAST_INTEGER, LAST_INTEGER, LAST_INTEGER)
    while len(found) < limit:
        rows = call_readable(conn, "log_lines_before", *before, first, None if levels is None else list(levels), PAGE)
        identities = list(dict.fromkeys(row[:3] for row in rows))
        chosen = set(_matching(conn, identities, wanted))
        found += [_line(row) for row in rows if row[:3] in chosen]
        if len(rows) < PAGE:
            break
        before = rows[-1][:4]
    return found[:limit][::-1]


def all_results(conn: SyncConnection, wanted: Wanted, done: Callable[[int], None]) -> Iterator[WholeResult]:
    """Yield all results that are wanted, oldest change first; ``done`` is told of how many ids are behind us.

    What is recorded meanwhile may be in it, or not.
    """
    first, last = _extent(conn, wanted)
    after: Identity = (first - 1, LAST_INTEGER, LAST_INTEGER)
    while page := call(conn, "result_ids_after", *after, last, wanted.status, PAGE):
        yield from (whole for _, whole in _whole(conn, _matching(conn, page, wanted)))
        done(page[-1][0] - after[0])
        after = page[-1]


def extent(conn: SyncConnection, wanted: Wanted) -> int:
    """Return how many ids of changes there are to go through for ``all_results``."""
    first, last = _extent(conn, wanted)
    return max(last - first + 1, 0)


def _extent(conn: SyncConnection, wanted: Wanted) -> tuple[int, int]:
    first, last = ids_between(conn, wanted.since, wanted.until)
    ((oldest, newest),) = call(conn, "ends_of_results")
    return max(first, oldest or 0), min(last, newest or 0)


def results_of(
    conn: SyncConnection, change_id: int, hook_id: int | None = None, attempt: int | None = None
) -> tuple[ListedChange | None, list[ShownResult]]:
    """Return a change, None if it is not in the log any more, and all that came of it: by hook and attempt.

    Raises:
        Refused: nothing did.
    """
    chosen = call(conn, "result_ids_of_change", change_id, hook_id, attempt)
    if not chosen:
        meant = " that is meant" if (hook_id, attempt) != (None, None) else ""
        raise Refused(
            f"change {change_id} has no result{meant}: jobhooks delivery show {change_id} shows what is owed,"
            f" and jobhooks change show {change_id} all that came of it"
        )
    shown = [_shown(conn, identity, whole) for identity, whole in _whole(conn, chosen)]
    return listed_change(conn, change_id), shown


def _pages_before(conn: SyncConnection, wanted: Wanted) -> Iterator[list[Identity]]:
    first, last = ids_between(conn, wanted.since, wanted.until)
    before: Identity = (last, LAST_INTEGER, LAST_INTEGER)
    while page := call(conn, "result_ids_before", *before, first, wanted.status, PAGE):
        yield page
        before = page[-1]


def _matching(
    conn: SyncConnection, identities: Sequence[Identity], wanted: Wanted, limit: int | None = None
) -> list[Identity]:
    """Return those that are wanted, the newest first, at most ``limit``."""
    if wanted.key is not None:
        changes = wanted.key.changes_among(conn, sorted({change_id for change_id, _, _ in identities}))
        identities = [identity for identity in identities if identity[0] in changes]
    if not identities:
        return []
    filters = (wanted.hook_id, wanted.job_id, wanted.status, wanted.content_type_ids, wanted.since, wanted.until)
    return call(conn, "matching_results", *_arrays(identities), *filters, limit)


def _by_identity(conn: SyncConnection, identities: Sequence[Identity]) -> Iterator[tuple[Any, ...]]:
    """Yield the fields of results, oldest first: first those of a ListedResult, then hook, traceback and value."""
    for row in call_readable(conn, "results_by_identity", *_arrays(identities)) if identities else []:
        change_id, hook_id, *facts, traceback, value, table, action, key_columns, written_key, image = row
        key = key_of(key_columns or (), written_key, image)
        yield change_id, *facts, table, action, _raw(as_json(key or None)), hook_id, traceback, _raw(value)


def _whole(conn: SyncConnection, identities: Sequence[Identity]) -> Iterator[tuple[Identity, WholeResult]]:
    """Yield those that are still there: retention may have taken some meanwhile."""
    logged: dict[Identity, list[LogLine]] = {}
    for change_id, hook_id, attempt, *line in (
        call_readable(conn, "log_of_results", *_arrays(identities)) if identities else []
    ):
        logged.setdefault((change_id, hook_id, attempt), []).append(LogLine(*line))
    for *listed, hook_id, traceback, value in _by_identity(conn, identities):
        identity = (listed[0], hook_id, listed[3])
        yield identity, WholeResult(*listed, traceback=traceback, value=value, log=logged.get(identity, []))


def _shown(conn: SyncConnection, identity: Identity, whole: WholeResult) -> ShownResult:
    # What it wrote is in the log from its start to its end: no index leads from a run to its changes.
    first, last = ids_between(conn, whole.started_at, whole.finished_at)
    rows = call_readable(conn, "changes_caused_by", first, last, *identity, WRITTEN)
    wrote = [listed_change(conn, change_id) for (change_id,) in rows]
    return ShownResult(**vars(whole), wrote=[change for change in wrote if change is not None])


def _line(row: tuple[Any, ...]) -> FoundLine:
    change_id, _hook_id, attempt, _line, hook, job, *facts = row
    return FoundLine(*facts, change_id=change_id, hook=hook, job=job, attempt=attempt)


def _arrays(identities: Sequence[Identity]) -> tuple[list[int], list[int], list[int]]:
    change_ids, hook_ids, attempts = zip(*identities, strict=True)
    return list(change_ids), list(hook_ids), list(attempts)


def _raw(text: str | None) -> msgspec.Raw:
    return msgspec.Raw(b"null" if text is None else text.encode())
