"""``jobhooks doctor``: lists problems with their remedies."""

import typer

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import print_json, print_message
from jobhooks.cli.show.problems import counted, print_problems
from jobhooks.operations.doctor import problems
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List problems of watched tables, hooks, deliveries, the log and roles; exit with 1 if one is an error.

    The command only reads, and works for a member of jobhooks_viewer. An error means that something you asked for does
    not happen; a warning, that it will fail in some case or is not safe; a note is useful to know.

    Example: jobhooks doctor --json
    """
    settings = load(config, database_url=database_url)
    with connection(settings, installed=False) as conn:
        found = problems(conn, settings.retention_days)
    if as_json:
        print_json(found)
    else:
        print_problems(found)
        print_message(counted(found) or "no problems")
    if any(problem.severity == "error" for problem in found):
        raise typer.Exit(1)
