"""Finds problems of an installation: those of jobhooks.problems(), SQL of another version, and broken conditions."""

import datetime
import shlex
from dataclasses import dataclass

from jobhooks.errors import Forbidden, JobhooksError, SqlMismatch
from jobhooks.operations.configuration.condition_checks import broken_conditions
from jobhooks.schema.install import check_installed, check_schema
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.undecodable_text import call_readable

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Problem:
    """A problem. ``severity``: one of SEVERITIES, see jobhooks.problems; ``remedy``: a command or an action."""

    severity: str
    subject: str
    problem: str
    remedy: str


def problems(conn: SyncConnection, retention_days: float) -> list[Problem]:
    """Find problems, errors first. ``retention_days``: the setting of the daemon.

    Raises:
        SqlMismatch: jobhooks is not installed; SQL of another version is a problem in the list.
        Forbidden: the role may not read the tables of jobhooks.
    """
    try:
        check_schema(conn)
        found = _found(conn, retention_days)
        return sorted(found, key=lambda problem: SEVERITIES.index(problem.severity))
    except Forbidden as exc:
        raise Forbidden(exc.message, f'grant jobhooks_viewer to "{conn.info.user}"') from exc


def problems_of_publications(conn: SyncConnection) -> list[Problem]:
    """Find publications and subscriptions of the tables of jobhooks."""
    return [Problem(*row) for row in call(conn, "problems_of_publications")]


def _found(conn: SyncConnection, retention_days: float) -> list[Problem]:
    found: list[Problem] = []
    try:
        check_installed(conn)
    except SqlMismatch as exc:
        found.append(Problem("error", _database(conn), exc.message, exc.remedy or "jobhooks install"))
    try:
        rows = call_readable(conn, "problems", retention=datetime.timedelta(days=retention_days))
    except Forbidden:
        raise
    except JobhooksError as exc:
        if not found:
            raise
        return [*found, Problem("note", _database(conn), f"cannot look further: {exc.message}", "jobhooks install")]
    is_current = not found
    found += [Problem(*row) for row in rows]
    return found + _problems_of_conditions(conn) if is_current else found


def _problems_of_conditions(conn: SyncConnection) -> list[Problem]:
    """Conditions that do not fit the tables; SQL cannot read them."""
    return [
        Problem(
            "warning",
            f'hook "{broken.hook}"',
            f"its conditions do not fit its tables: {broken.reason}",
            f"jobhooks hook edit {shlex.quote(broken.hook)} --conditions EXPRESSION",
        )
        for broken in broken_conditions(conn)
    ]


def _database(conn: SyncConnection) -> str:
    return f"database {conn.info.dbname}"
