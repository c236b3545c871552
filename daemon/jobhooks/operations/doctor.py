"""What is wrong with an installation: as jobhooks.problems() finds it, and whether its SQL is this program's at all."""

import datetime
from dataclasses import dataclass

from jobhooks.errors import Forbidden, JobhooksError, SqlMismatch
from jobhooks.schema.install import check_installed, check_schema
from jobhooks.store.connections import SyncConnection
from jobhooks.store.undecodable_text import call_readable


@dataclass(frozen=True)
class Problem:
    """Something wrong. ``severity``: error, warning or note, as jobhooks.problems says; ``remedy``: what to do."""

    severity: str
    subject: str
    problem: str
    remedy: str


def problems(conn: SyncConnection, retention_days: float) -> list[Problem]:
    """Return what is wrong, errors first.

    Raises:
        SqlMismatch: jobhooks is not installed at all; SQL of another version is a problem like others.
        Forbidden: the role may not read what there is.
    """
    check_schema(conn)
    found: list[Problem] = []
    try:
        check_installed(conn)
    except SqlMismatch as exc:
        found.append(Problem("error", f"database {conn.info.dbname}", exc.message, exc.remedy or "jobhooks install"))
    try:
        rows = call_readable(conn, "problems", retention=datetime.timedelta(days=retention_days))
    except Forbidden as exc:
        raise Forbidden(exc.message, f'grant jobhooks_viewer to "{conn.info.user}"') from exc
    except JobhooksError as exc:
        if not found:
            raise
        return [
            *found,
            Problem("note", f"database {conn.info.dbname}", f"cannot look further: {exc.message}", "jobhooks install"),
        ]
    return found + [Problem(*row) for row in rows]
