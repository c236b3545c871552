"""``jobhooks doctor``: what is wrong, why, and what to do about it."""

import typer
from rich.text import Text

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import console, print_records, printable, say
from jobhooks.operations.doctor import Problem, problems
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Tell what is wrong: with the tables watched, hooks, deliveries, the log, the roles; exits with 1 if an error is.

    It reads only: a member of jobhooks_viewer can run it. Each problem is an error (something that was asked for does
    not happen), a warning (it will not in some case, or is not safe), or a note.

    Example: jobhooks doctor --json
    """
    chosen = load(config, database_url=database_url)
    with connection(chosen, installed=False) as conn:
        found = problems(conn, chosen.retention_days)
    if as_json:
        print_records(Problem, found, as_json=True)
    else:
        print_problems(found)
        say(_summary(found))
    if any(problem.severity == "error" for problem in found):
        raise typer.Exit(1)


def print_problems(found: list[Problem]) -> None:
    """Print each problem, and below it what to do."""
    out = console()
    for problem in found:
        severity = (f"{problem.severity}: ", STYLES[problem.severity])
        out.print(Text.assemble(severity, (printable(problem.subject), "bold"), f": {printable(problem.problem)}"))
        out.print(Text(f"  Try: {printable(problem.remedy)}"))


def _summary(found: list[Problem]) -> str:
    counts = [(severity, sum(problem.severity == severity for problem in found)) for severity in STYLES]
    told = [f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts if count]
    return ", ".join(told) or "nothing is wrong"
