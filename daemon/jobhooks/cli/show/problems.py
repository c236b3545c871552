"""Renders problems: each on one line, with its remedy below."""

from rich.text import Text

from jobhooks.cli.show.output import console, printable
from jobhooks.operations.doctor import SEVERITIES, Problem

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
