"""The options that commands share. Their help comes from the settings table."""

from pathlib import Path
from typing import Annotated

import typer

from jobhooks.runtime import settings
from jobhooks.runtime.log_format import LogFormat, LogLevel
from jobhooks.runtime.settings import describe

PANEL = "Settings"


def _option(flag: str, name: str, metavar: str) -> typer.models.OptionInfo:
    return typer.Option(flag, help=describe(name), metavar=metavar, rich_help_panel=PANEL, show_default=False)


ConfigFlag = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help=f"The settings file; by default {settings.DEFAULT_FILE}, if there is one.",
        metavar="FILE",
        envvar=settings.FILE_VARIABLE,
        readable=False,  # whether it is, the settings check: with our message and exit code
        rich_help_panel=PANEL,
    ),
]
DatabaseFlag = Annotated[str | None, _option("--database-url", "database_url", "URL")]
ReceiversFlag = Annotated[str | None, _option("--receivers-path", "receivers_path", "DIR[:DIR...]")]
LogLevelFlag = Annotated[LogLevel | None, _option("--log-level", "log_level", "LEVEL")]
LogFormatFlag = Annotated[LogFormat | None, _option("--log-format", "log_format", "FORMAT")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
