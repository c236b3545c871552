"""Finds results, attempt by attempt, with the lines that receivers logged.

There are as many results as there ever were deliveries. They are read page by page by their key, and each page is
filtered: no statement takes long, memory is bounded, and no snapshot is held while a person reads.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jobhooks.errors import Refused
from jobhooks.operations.changes import ids_between, listed_change
from jobhooks.operations.delivering.attempts import (
    LEVELS,
    FoundLine,
    LogLine,
    ObjectChange,
    Result,
    ResultDetails,
    ResultWithWrites,
    by_importance,
    levels_of,
)
from jobhooks.operations.delivering.objects import updates_by_hook
from jobhooks.operations.lookup.names import ids_of_hooks_ever, ids_of_jobs_ever, ids_of_tables
from jobhooks.operations.lookup.object_keys import ObjectKey, key_of
from jobhooks.operations.lookup.versions import numbers_of_versions
from jobhooks.operations.progress import Progress, no_progress
from jobhooks.store.captured_changes import ListedChange, raw_json
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.json_rows import as_json
from jobhooks.store.undecodable_text import call_readable

PAGE = 2_000  # results, or lines, read by one statement
LAST_INTEGER = 2**31 - 1
SHOWN_WRITES = 100  # changes of one run

Identity = tuple[int, int, int]  # change, hook, attempt


@dataclass(frozen=True)
class ResultFilter:
    """Conditions that results meet. A field left at its default accepts any result. Times are those of the changes.

    ``version``: of the receiver, or the beginning of it.
    """

    hooks: Sequence[str] = ()
    jobs: Sequence[str] = ()
    tables: Sequence[str] = ()
    key: ObjectKey | None = None
    status: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    version: str | None = None


@dataclass(frozen=True)
class ResultsOfChange:
    """A change with its results, by hook and attempt. ``change`` is null once retention has dropped it."""

    change: ListedChange | None
    results: list[ResultWithWrites]


@dataclass(frozen=True)
class Conditions:
    """A filter with ids in place of names."""

    hook_ids: list[int] | None
    job_ids: list[int] | None
    content_type_ids: list[int] | None
    key: ObjectKey | None
    status: str | None
    since: datetime.datetime | None
    until: datetime.datetime | None
    versions: tuple[int | None, int | None]  # the least and the greatest


def newest_results(conn: SyncConnection, chosen: ResultFilter, limit: int) -> list[Result]:
    """The results of the newest changes, oldest first.

    Raises:
        UnknownHook, UnknownJob, NotWatched, Refused: the filter names something that does not exist.
    """
    conditions = conditions_of(conn, chosen)
    found: list[Result] = []
    for page in _pages_before(conn, conditions):
        if len(found) >= limit:
            break
        found += reversed(listed(conn, matching(conn, page, conditions, limit - len(found))))
    return found[::-1]


def listed(conn: SyncConnection, identities: Sequence[Identity]) -> list[Result]:
    """Those of the results that still exist, oldest change first."""
    counts = _log_levels(conn, identities)
    return [
        Result(*facts, log_levels=by_importance(counts.get(identity, {})))
        for identity, facts, *_ in _by_identity(conn, identities)
    ]


def newest_lines(
    conn: SyncConnection, chosen: ResultFilter, limit: int, least_level: str = LEVELS[0]
) -> list[FoundLine]:
    """The lines logged last, of ``least_level`` and above, oldest first.

    Raises:
        UnknownHook, UnknownJob, NotWatched, Refused: the filter names something that does not exist.
    """
    conditions = conditions_of(conn, chosen)
    levels = None if least_level == LEVELS[0] else list(LEVELS[LEVELS.index(least_level) :])
    found: list[FoundLine] = []
    first, last = ids_between(conn, conditions.since, conditions.until)
    before = (last, LAST_INTEGER, LAST_INTEGER, LAST_INTEGER)
    while len(found) < limit:
        rows = call_readable(
            conn,
            "log_lines_before",
            **dict(zip(("change_id", "hook_id", "attempt", "line"), before, strict=True)),
            first_id=first,
            levels=levels,
            limit=PAGE,
        )
        identities = list(dict.fromkeys(row[:3] for row in rows))
        chosen_ones = set(matching(conn, identities, conditions))
        found += [_line(row) for row in rows if row[:3] in chosen_ones]
        if len(rows) < PAGE:
            break
        before = rows[-1][:4]
    return found[:limit][::-1]


def all_results(
    conn: SyncConnection, chosen: ResultFilter, progress: Progress = no_progress
) -> Iterator[ResultDetails]:
    """Yield every result, oldest change first. A result recorded during the iteration may be missing.

    Raises:
        UnknownHook, UnknownJob, NotWatched, Refused: the filter names something that does not exist.
    """
    conditions = conditions_of(conn, chosen)
    first, last = ids_between(conn, conditions.since, conditions.until)
    ((oldest, newest),) = call(conn, "ends_of_results")
    first, last = max(first, oldest or 0), min(last, newest or 0)
    after: Identity = (first - 1, LAST_INTEGER, LAST_INTEGER)
    with progress("exporting", max(last - first + 1, 0)) as advance:
        while page := call(
            conn, "result_ids_after", **_named(after), last_id=last, status=conditions.status, limit=PAGE
        ):
            yield from (result for _, result in _with_details(conn, matching(conn, page, conditions)))
            advance(page[-1][0] - after[0])
            after = page[-1]


def results_of_change(
    conn: SyncConnection, change_id: int, hook: str | None = None, attempt: int | None = None
) -> ResultsOfChange:
    """A change with its results, all or those of one hook or one attempt, each with the changes that it made.

    Raises:
        UnknownHook: there is and was no such hook.
        Refused: there is no such result.
    """
    wanted = ids_of_hooks_ever(conn, () if hook is None else (hook,))
    identities = call(conn, "result_ids_of_change", change_id=change_id, hook_ids=wanted, attempt=attempt)
    if not identities:
        such = " of that hook and attempt" if (hook, attempt) != (None, None) else ""
        raise Refused(
            f"change {change_id} has no result{such}",
            f"jobhooks delivery show {change_id} for its pending deliveries, or jobhooks change show {change_id}",
        )
    found = [_with_writes(conn, identity, result) for identity, result in _with_details(conn, identities)]
    return ResultsOfChange(listed_change(conn, change_id), found)


def results_of_delivery(conn: SyncConnection, change_id: int, hook_id: int | None = None) -> list[ResultDetails]:
    """The results of a change, or of one of its deliveries, by hook and attempt."""
    hook_ids = None if hook_id is None else [hook_id]
    identities = call(conn, "result_ids_of_change", change_id=change_id, hook_ids=hook_ids, attempt=None)
    return [result for _, result in _with_details(conn, identities)]


def conditions_of(conn: SyncConnection, chosen: ResultFilter) -> Conditions:
    """Look up what a filter names.

    Raises:
        UnknownHook, UnknownJob, NotWatched, Refused: it names something that does not exist.
    """
    tables = ids_of_tables(conn, chosen.tables)
    if chosen.key is not None:
        chosen.key.check(conn, tables)
    versions = (None, None) if chosen.version is None else numbers_of_versions(chosen.version)
    hooks, jobs = ids_of_hooks_ever(conn, chosen.hooks), ids_of_jobs_ever(conn, chosen.jobs)
    return Conditions(hooks, jobs, tables, chosen.key, chosen.status, chosen.since, chosen.until, versions)


def _pages_before(conn: SyncConnection, conditions: Conditions) -> Iterator[list[Identity]]:
    first, last = ids_between(conn, conditions.since, conditions.until)
    before: Identity = (last, LAST_INTEGER, LAST_INTEGER)
    while page := call(
        conn, "result_ids_before", **_named(before), first_id=first, status=conditions.status, limit=PAGE
    ):
        yield page
        before = page[-1]


def matching(
    conn: SyncConnection, identities: Sequence[Identity], conditions: Conditions, limit: int | None = None
) -> list[Identity]:
    """The identities that meet the conditions, the newest first."""
    if conditions.key is not None:
        changes = conditions.key.changes_among(conn, sorted({change_id for change_id, _, _ in identities}))
        identities = [identity for identity in identities if identity[0] in changes]
    if not identities:
        return []
    return call(
        conn,
        "matching_results",
        **_arrays(identities),
        wanted_hook_ids=conditions.hook_ids,
        job_ids=conditions.job_ids,
        status=conditions.status,
        content_type_ids=conditions.content_type_ids,
        since=conditions.since,
        until=conditions.until,
        least_version=conditions.versions[0],
        greatest_version=conditions.versions[1],
        limit=limit,
    )


def _by_identity(
    conn: SyncConnection, identities: Sequence[Identity]
) -> Iterator[tuple[Identity, tuple[Any, ...], str | None, str | None]]:
    """Yield the fields of each Result but ``log_levels``, its traceback and value, oldest change first."""
    rows = call_readable(conn, "results_by_identity", **_arrays(identities)) if identities else []
    updates = updates_by_hook(conn, [(row[0], row[2]) for row in rows if row[-1]])
    for row in rows:
        change_id, hook_id, hook, deleted, dead, next_at, job, version, package, *rest = row
        *attempt, traceback, value, table, action, key_columns, written_key, image, _ = rest
        own = ObjectChange(table, action, raw_json(as_json(key_of(key_columns or (), written_key, image) or None)))
        shown = updates.get((change_id, hook), own)
        subject = (change_id, hook, job, shown.table, shown.action, shown.object_key, None if shown is own else own)
        state = (deleted, dead, next_at)
        yield (change_id, hook_id, attempt[0]), (*subject, *attempt, *state, version, package), traceback, value


def _log_levels(conn: SyncConnection, identities: Sequence[Identity]) -> dict[Identity, dict[str, int]]:
    """How many lines of each level these results have."""
    counts: dict[Identity, dict[str, int]] = {}
    for change_id, hook_id, attempt, level, count in (
        call(conn, "log_levels_of_results", **_arrays(identities)) if identities else []
    ):
        counts.setdefault((change_id, hook_id, attempt), {})[level] = count
    return counts


def _with_details(conn: SyncConnection, identities: Sequence[Identity]) -> Iterator[tuple[Identity, ResultDetails]]:
    """Yield each result that still exists: retention may have dropped some since their ids were read."""
    logged: dict[Identity, list[LogLine]] = {}
    for change_id, hook_id, attempt, *line in (
        call_readable(conn, "log_of_results", **_arrays(identities)) if identities else []
    ):
        logged.setdefault((change_id, hook_id, attempt), []).append(LogLine(*line))
    for identity, facts, traceback, value in _by_identity(conn, identities):
        log = logged.get(identity, [])
        yield (
            identity,
            ResultDetails(*facts, log_levels=levels_of(log), traceback=traceback, value=raw_json(value), log=log),
        )


def _with_writes(conn: SyncConnection, identity: Identity, result: ResultDetails) -> ResultWithWrites:
    # No index leads from a run to its changes: search the part of the log that was written during the run.
    first, last = ids_between(conn, result.started_at, result.finished_at)
    rows = call_readable(
        conn, "changes_caused_by", first_id=first, last_id=last, **_named(identity), limit=SHOWN_WRITES
    )
    wrote = [listed_change(conn, change_id) for (change_id,) in rows]
    return ResultWithWrites(**vars(result), wrote=[change for change in wrote if change is not None])


def _line(row: tuple[Any, ...]) -> FoundLine:
    change_id, _hook_id, attempt, _line, hook, deleted, job, *facts = row
    return FoundLine(*facts, change_id=change_id, hook=hook, hook_deleted=deleted, job=job, attempt=attempt)


def _named(identity: Identity) -> dict[str, int]:
    return dict(zip(("change_id", "hook_id", "attempt"), identity, strict=True))


def _arrays(identities: Sequence[Identity]) -> dict[str, list[int]]:
    change_ids, hook_ids, attempts = zip(*identities, strict=True)
    return {"change_ids": list(change_ids), "hook_ids": list(hook_ids), "attempts": list(attempts)}
