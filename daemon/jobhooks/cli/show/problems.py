"""Renders problems, each with its remedy, and the warnings when jobhooks is installed or a table is watched."""

from rich.text import Text

from jobhooks.cli.show.output import console, print_message, printable
from jobhooks.errors import with_remedy
from jobhooks.operations import tables
from jobhooks.operations.doctor import SEVERITIES, Problem, problems_of_publications
from jobhooks.store.connections import SyncConnection

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def print_problems(problems: list[Problem]) -> None:
    """Print problems with their remedies."""
    out = console()
    for problem in problems:
        severity = (f"{problem.severity}: ", STYLES[problem.severity])
        out.print(Text.assemble(severity, (printable(problem.subject), "bold"), f": {printable(problem.problem)}"))
        out.print(Text(f"  Try: {printable(problem.remedy)}"))


def counted(problems: list[Problem]) -> str:
    """Render the number of problems by severity: ``2 errors, 1 note``; empty without problems."""
    counts = [(severity, sum(problem.severity == severity for problem in problems)) for severity in SEVERITIES]
    return ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts if count)


def warn_of_secrets(conn: SyncConnection, table: str) -> None:
    """Name the columns that look like secrets and that the log of ``table`` now records."""
    for names, command in tables.secrets_in_log(conn, table):
        print_message(
            with_remedy(f"warning: the log records columns of {table} that look like secrets: {names}", command)
        )


def warn_of_publications(conn: SyncConnection) -> None:
    """Name the publications that have the tables of jobhooks, such as one for all tables."""
    for found in problems_of_publications(conn):
        if found.severity == "warning":
            print_message(with_remedy(f"warning: {found.subject}: {found.problem}", found.remedy))
