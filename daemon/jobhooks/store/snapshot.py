"""PostgreSQL's snapshots: which transactions had ended at a moment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """A ``pg_snapshot``, whose text form is ``xmin:xmax:xip,xip,...``.

    All transactions below ``xmin`` had ended, and those from ``xmax`` on had not begun. Between them, those in
    ``in_progress`` had not ended.
    """

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Read PostgreSQL's text form."""
        xmin, xmax, in_progress = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, in_progress.split(",")))))

    @property
    def age(self) -> tuple[int, int, int]:
        """A key that sorts snapshots of one server by time: what is below it has ended, and stays so."""
        return self.xmax, self.xmin, -len(self.in_progress)

    def sees(self, transaction_id: int) -> bool:
        """Return whether the transaction had ended; as ``pg_visible_in_snapshot``."""
        return transaction_id < self.xmin or (transaction_id < self.xmax and transaction_id not in self.in_progress)
