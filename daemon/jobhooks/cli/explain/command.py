"""``jobhooks explain``: why a hook got a change, or did not."""

from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.cli.explain.view import print_explanation
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import print_json
from jobhooks.operations.changes import LAST_ID
from jobhooks.operations.delivering.explaining import explain as explanation_of
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    change: Annotated[int, typer.Option(help="The id of a change.", metavar="ID", max=LAST_ID)],
    hook: Annotated[
        str | None, typer.Option(help="Only this hook.", metavar="NAME", autocompletion=completion.hooks)
    ] = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Explain for each hook why a change ran it, or did not: rule by rule, with the delivery and its results.

    The rules are those of the hooks as they are now.

    Example: jobhooks explain --change 42

    Example: jobhooks explain --change 42 --hook "Check serials"
    """
    with connection(load(config, database_url=database_url)) as conn:
        explained = explanation_of(conn, change, hook)
    if as_json:
        print_json(explained)
    else:
        print_explanation(explained)
