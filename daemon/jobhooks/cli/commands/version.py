"""``jobhooks version``."""

from typing import Annotated

import typer

from jobhooks.cli.show.output import print_json, print_text
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.store.queries import migrations


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(version)


def version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Print the version; with --json, also the version of the schema that it installs.

    Example: jobhooks version --json
    """
    if as_json:
        print_json({"version": PROGRAM_VERSION, "schema": migrations()[-1].version})
    else:
        print_text(PROGRAM_VERSION)
