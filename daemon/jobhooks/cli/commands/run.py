"""``jobhooks run``: the daemon."""

from typing import Annotated

import typer

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, LogFormatFlag, LogLevelFlag, ReceiversFlag
from jobhooks.runtime.settings import load


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    log_level: LogLevelFlag = None,
    log_format: LogFormatFlag = None,
    config: ConfigFlag = None,
    end_with: Annotated[int | None, typer.Option(hidden=True, help="End when that process has ended.")] = None,
) -> None:
    """Run the daemon, until SIGTERM or Ctrl-C: it delivers each change to the receivers whose hooks match.

    Example: jobhooks run --database-url postgresql:///inventory
    """
    chosen = load(
        config,
        database_url=database_url,
        receivers_path=receivers_path,
        log_level=log_level,
        log_format=log_format,
    )
    from jobhooks.app import run_daemon  # noqa: PLC0415, RUF100 - the engine, which all commands would load

    run_daemon(chosen, end_with)
