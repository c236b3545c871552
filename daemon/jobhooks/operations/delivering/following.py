"""Follows results: those that attempts record from now on, each once, however late they commit."""

import datetime

from jobhooks.operations.delivering.attempts import Result
from jobhooks.operations.delivering.results import (
    Identity,
    ResultFilter,
    conditions_of,
    listed,
    matching,
    newest_results,
)
from jobhooks.store.connections import SyncConnection, call

LATE = datetime.timedelta(seconds=30)  # a result commits at most so long after the end of its run
WATCHED = 100_000  # the newest changes, whose results are looked for: nothing leads from a time to results


class ResultFollower:
    """Finds the results that are recorded after its creation, in order of their ends.

    The end of a run is stored with it, and the result commits a little later. So each look goes back by ``LATE`` from
    the last end, and leaves out what an earlier look has found. Results of changes before the newest ``WATCHED`` are
    not found.
    """

    def __init__(self, conn: SyncConnection, chosen: ResultFilter, limit: int = 0) -> None:
        """Start to follow. ``first``: the results of the newest changes until then, at most ``limit``.

        Raises:
            UnknownHook, UnknownJob, NotWatched, Refused: the filter names something that does not exist.
        """
        self._conn = conn
        self._conditions = conditions_of(conn, chosen)
        with conn.transaction():
            call(conn, "keep_snapshot")
            ((self._last_end,),) = call(conn, "last_end_of_results", after_id=self._watched_after())
            self._found = self._ended()
            self.first = newest_results(conn, chosen, limit)

    def new_results(self) -> list[Result]:
        """The results that were recorded since the last call."""
        ended = self._ended()
        new = [identity for identity in ended if identity not in self._found]
        self._last_end = max([self._last_end, *ended.values()])
        self._found = ended
        results = listed(self._conn, matching(self._conn, new, self._conditions))
        return sorted(results, key=lambda result: (result.finished_at, result.change_id))

    def _ended(self) -> dict[Identity, datetime.datetime]:
        """The results whose runs ended lately, and their ends."""
        after_id, ended_after = self._watched_after(), self._last_end - LATE
        rows = call(self._conn, "results_ended_after", after_id=after_id, ended_after=ended_after)
        return {(change_id, hook_id, attempt): end for change_id, hook_id, attempt, end in rows}

    def _watched_after(self) -> int:
        ((_, newest),) = call(self._conn, "log_ends")
        return (newest or 0) - WATCHED
