"""The snapshot cursor: a position in the log that no late commit can fall behind. Pure."""

from dataclasses import dataclass, replace
from functools import cached_property

from jobhooks.contract.change import Change
from jobhooks.store.snapshot import Snapshot

NO_LIMIT = 2**63 - 1


@dataclass(frozen=True)
class Cursor:
    """A position in the log.

    Everything that ``seen`` sees is done. Of the window between ``seen`` and ``horizon``, everything up to ``last_id``
    is done. Both snapshots are in PostgreSQL's text form. ``seen_low_water_id`` and ``horizon_low_water_id``: a
    transaction at or above the snapshot's xmax took no id up to this one. Changes up to ``first_id`` belong to the
    database that this one was copied from.
    """

    seen: str
    seen_low_water_id: int
    horizon: str
    horizon_low_water_id: int
    last_id: int
    first_id: int

    def after(self, changes: list[Change], *, complete: bool, up_to: int = NO_LIMIT) -> "Cursor":
        """Move past ``changes``; ``complete``: they were the last of the window, up to the id ``up_to``."""
        if complete and up_to < NO_LIMIT:
            return replace(self, last_id=max(self.last_id, up_to))
        if complete:
            return replace(self, seen=self.horizon, seen_low_water_id=self.horizon_low_water_id, last_id=0)
        return replace(self, last_id=changes[-1].id)

    def towards(self, other: "Cursor") -> tuple["Cursor", int]:
        """The window to read next on the way to ``other``, and the id up to which to read it.

        This position must not be ahead of ``other``.

        Windows end only at snapshots of ``other``. So a reader that follows another one arrives at the same position:
        it reads whole windows up to the snapshot ``seen`` of the other, and then its open window up to its ``last_id``.
        """
        window = self
        if self.is_between_windows:
            if self.seen == other.seen:
                window = replace(self, horizon=other.horizon, horizon_low_water_id=other.horizon_low_water_id)
            else:
                window = replace(self, horizon=other.seen, horizon_low_water_id=other.seen_low_water_id)
        is_open_there = window.horizon == other.horizon and not other.is_between_windows
        return window, other.last_id if is_open_there else NO_LIMIT

    def is_ahead_of(self, other: "Cursor") -> bool:
        """Whether this position lies beyond ``other``, or in a window from the same place that ``other`` does not have.

        A reader cannot get from here to ``other``. Both are positions in one log.
        """
        mine, theirs = Snapshot.parse(self.seen).age, Snapshot.parse(other.seen).age
        if mine != theirs:
            return mine > theirs
        if self.is_between_windows:
            return False
        return self.horizon != other.horizon or self.last_id > other.last_id

    @property
    def is_between_windows(self) -> bool:
        """Whether the last window was read to its end."""
        return self.horizon == self.seen

    def reach(self) -> "Reach":
        """What of the log lies before this position."""
        return self._reach

    @cached_property
    def _reach(self) -> "Reach":
        return Reach(Snapshot.parse(self.seen), Snapshot.parse(self.horizon), self.last_id, self.first_id)


@dataclass(frozen=True)
class Reach:
    """What of the log lies before a position, for many questions. The fields are those of ``Cursor``, parsed."""

    seen: Snapshot
    horizon: Snapshot
    last_id: int
    first_id: int

    def covers(self, change_id: int, transaction_id: int) -> bool:
        """Whether a change, and every older change of its object, comes before this position."""
        if change_id <= self.first_id or self.seen.sees(transaction_id):
            return True
        return change_id <= self.last_id and self.horizon.sees(transaction_id)

    def covers_all(self, transaction_id: int) -> bool:
        """Whether every change of a transaction comes before this position."""
        return self.seen.sees(transaction_id)
