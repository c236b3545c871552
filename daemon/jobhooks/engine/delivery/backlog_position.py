"""A position in a hook's backlog. Pure."""

import datetime
from dataclasses import dataclass

BEGINNING = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class BacklogPosition:
    """How far a hook's due backlog is loaded. An entry parked later is due later, so no search repeats itself."""

    due_at: datetime.datetime = BEGINNING
    change_id: int = 0
