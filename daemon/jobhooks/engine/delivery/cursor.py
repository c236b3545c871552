"""The snapshot cursor: a position in the log that no late commit can fall behind. Pure."""

from dataclasses import dataclass, replace

from jobhooks.contract.change import Change
from jobhooks.store.snapshot import Snapshot


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

    def after(self, changes: list[Change], *, complete: bool) -> "Cursor":
        """Move past ``changes``; ``complete``: they were the last of the window."""
        if complete:
            return replace(self, seen=self.horizon, seen_low_water_id=self.horizon_low_water_id, last_id=0)
        return replace(self, last_id=changes[-1].id)

    def covers(self, change: Change) -> bool:
        """Whether the change, and every older change of its object, comes before this position."""
        transaction_id = change.transaction_id
        if change.id <= self.first_id or Snapshot.parse(self.seen).sees(transaction_id):
            return True
        return change.id <= self.last_id and Snapshot.parse(self.horizon).sees(transaction_id)

    def covers_all(self, change: Change) -> bool:
        """Whether every change of the change's transaction comes before this position."""
        return change.id <= self.first_id or Snapshot.parse(self.seen).sees(change.transaction_id)
