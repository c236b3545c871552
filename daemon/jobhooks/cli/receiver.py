"""``jobhooks receiver``: lists receivers, and writes a new one to start from."""

import keyword
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from jobhooks.cli.options import ConfigFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.show.output import print_json, print_records, say
from jobhooks.errors import InvalidName, JobhooksError
from jobhooks.operations import receivers
from jobhooks.runtime.settings import load

RECEIVER = '''
"""What this is for, in a sentence."""

from jobhooks import {row}, Change, JobHookReceiver, ObjectChangeActionChoices


class {name}(JobHookReceiver):
    """What it does, in a sentence, as jobhooks job list shows it."""

    class Meta:
        max_attempts = 15

    {define} receive_job_hook(
        self, change: Change, action: ObjectChangeActionChoices, changed_object: {row} | None
    ) -> None:
        if action == ObjectChangeActionChoices.ACTION_DELETE or changed_object is None:
            return
        differences = change.get_snapshots()["differences"]
        self.log_info(changed_object, f"changed: {{differences['added']}}")
        # changed_object.column = "value"
        # {await_}changed_object.save()
'''
TEST = '''
"""Whether {name} does what it is for."""

from {module} import {name}
from jobhooks.testing import receive


def test_it_tells_what_changed() -> None:
    done = receive({name}, before={{"id": 1, "name": "a"}}, after={{"id": 1, "name": "b"}})
    assert done.status == "success"
    assert done.messages == ["changed: {{'name': 'b'}}"]


def test_it_leaves_what_is_gone_alone() -> None:
    assert receive({name}, before={{"id": 1, "name": "a"}}).log == []
'''


@dataclass(frozen=True)
class FoundOne:
    """A receiver: its job, its file, and its kind. ``warnings``: attributes without effect in its class Meta."""

    class_path: str
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
    if registry.broken:
        raise JobhooksError("; ".join(f"broken: {broken}" for broken in registry.broken))


def new(
    name: Annotated[str, typer.Argument(help="The module: a word in lower case.", metavar="NAME")],
    is_async: Annotated[bool, typer.Option("--async", help="Write an async def receiver.")] = False,
    directory: Annotated[Path, typer.Option(help="The directory of receivers.", metavar="DIR")] = Path("receivers"),
    tests: Annotated[Path, typer.Option(help="The directory of tests.", metavar="DIR")] = Path("tests"),
    as_json: JsonFlag = False,
) -> None:
    """Write a new receiver to start from, and a test for it. Existing files stay.

    Example: jobhooks receiver new check_serial
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise InvalidName(
            f"cannot write a receiver {name}: its name must be one of a Python module, such as check_serial"
        )
    words = {
        "module": name,
        "name": "".join(map(str.capitalize, name.split("_"))),
        "define": "async def" if is_async else "def",
        "await_": "await " if is_async else "",
        "row": "AsyncChangedObject" if is_async else "ChangedObject",
    }
    files = {directory / f"{name}.py": RECEIVER, tests / f"test_{name}.py": TEST}
    for path in files:
        if path.exists():
            raise InvalidName(f"cannot write {path}: it is there already")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip().format(**words))
    except OSError as exc:
        raise JobhooksError(f"cannot write a receiver {name}: {exc}") from exc
    if as_json:
        print_json({"receiver": str(directory / f"{name}.py"), "test": str(tests / f"test_{name}.py")})
    say(f"wrote {directory / f'{name}.py'} and {tests / f'test_{name}.py'}")
    say(f"test it with: PYTHONPATH={directory} python -m pytest {tests / f'test_{name}.py'}")
