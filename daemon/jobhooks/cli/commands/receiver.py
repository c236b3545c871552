"""``jobhooks receiver``: lists receivers, and writes a new one to start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from jobhooks.cli.options import ConfigFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.show.output import print_json, print_message, print_records
from jobhooks.errors import JobhooksError
from jobhooks.operations.configuration import receivers
from jobhooks.operations.new_receiver import new_receiver
from jobhooks.runtime.settings import load


@dataclass(frozen=True)
class FoundOne:
    """A receiver: its job, its file, and its kind. ``warnings``: attributes without effect in its class Meta."""

    job: str
    path: str
    line: int | None
    is_async: bool
    takes_batches: bool
    warnings: list[str]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Receivers: the Python classes that jobs run.")
    group.command("list")(list_receivers)
    group.command("new")(new)
    app.add_typer(group, name="receiver")


def list_receivers(as_json: JsonFlag = False, receivers_path: ReceiversFlag = None, config: ConfigFlag = None) -> None:
    """List the receivers that are found here, without a database; exits with 1 if a module is broken.

    Example: jobhooks receiver list --receivers-path receivers
    """
    registry = receivers.find(load(config, receivers_path=receivers_path))
    found = [
        FoundOne(one.class_path, str(one.path), one.line, one.is_async, one.takes_batches, list(one.meta.warnings))
        for _, one in sorted(registry.receivers.items())
    ]
    print_records(FoundOne, found, as_json=as_json)
    for path in registry.missing:
        print_message(f"warning: there is no directory {path}, which receivers_path names")
    if registry.broken:
        raise JobhooksError("; ".join(f"broken: {broken}" for broken in registry.broken))


def new(
    name: Annotated[str, typer.Argument(help="The module: a word in lower case.", metavar="NAME")],
    is_async: Annotated[bool, typer.Option("--async", help="Write an async def receiver.")] = False,
    directory: Annotated[Path, typer.Option(help="The directory of receivers.", metavar="DIR")] = Path("receivers"),
    tests: Annotated[Path, typer.Option(help="The directory of tests.", metavar="DIR")] = Path("tests"),
    as_json: JsonFlag = False,
    config: ConfigFlag = None,
) -> None:
    """Write a new receiver to start from, and a test for it. Existing files stay.

    Example: jobhooks receiver new check_serial
    """
    read = load(config).receivers_path
    made = new_receiver(name, directory, tests, is_async=is_async)
    if as_json:
        print_json({"receiver": str(made.receiver), "test": str(made.test)})
    service = f"the service reads {', '.join(map(str, read))}" if read else "the service reads receivers_path"
    print_message(f"wrote {made.receiver} and {made.test}")
    print_message(f"next: edit {made.receiver}, and test it: PYTHONPATH={directory} python -m pytest {made.test}")
    print_message(f"then: jobhooks job enable {made.job} ({service})")
