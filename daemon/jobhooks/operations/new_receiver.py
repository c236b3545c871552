"""Writes a new receiver to start from, and a test for it."""

import keyword
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from jobhooks.errors import InvalidName, JobhooksError

# Modules of these names break pytest, or are never looked at: a test imports the receiver by its bare name.
TAKEN = frozenset({*sys.stdlib_module_names, "jobhooks", "pytest", "conftest", "psycopg", "asyncpg", "msgspec"})

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
class NewReceiver:
    """The files of a new receiver, and the class path of its job."""

    job: str
    receiver: Path
    test: Path


def new_receiver(name: str, directory: Path, tests: Path, *, is_async: bool = False) -> NewReceiver:
    """Write the module ``name`` with a receiver into ``directory``, and its test into ``tests``.

    Raises:
        InvalidName: the name cannot be one of a receiver's module, or a file exists; nothing was written.
        JobhooksError: a file cannot be written.
    """
    _check_name(name)
    class_name = "".join(map(str.capitalize, name.split("_")))
    words = {
        "module": name,
        "name": class_name,
        "define": "async def" if is_async else "def",
        "await_": "await " if is_async else "",
        "row": "AsyncChangedObject" if is_async else "ChangedObject",
    }
    made = NewReceiver(f"{name}.{class_name}", directory / f"{name}.py", tests / f"test_{name}.py")
    files = {made.receiver: RECEIVER, made.test: TEST}
    for path in files:
        if path.exists():
            raise InvalidName(f"cannot write {path}: it exists already", "another name")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip().format(**words))
    except OSError as exc:
        raise JobhooksError(f"cannot write a receiver {name}: {exc}") from exc
    return made


def _check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise InvalidName(
            f"cannot write a receiver {name}: that is not the name of a Python module", _module_name(name)
        )
    if name != name.lower():
        raise InvalidName(f"cannot write a receiver {name}: a module has a name in lower case", _module_name(name))
    if name in TAKEN:
        raise InvalidName(f"cannot write a receiver {name}: its test would import another module", f"my_{name}")
    if name.startswith("test_"):
        remedy = name.removeprefix("test_") or "check_serial"
        raise InvalidName(f"cannot write a receiver {name}: modules test_* are tests and are not loaded", remedy)


def _module_name(name: str) -> str:
    """A module's name like this one: check_serial for CheckSerial, check-serial, check_serial.py and others."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", name.removesuffix(".py"))
    wanted = words.strip("_").lower()
    return wanted if wanted.isidentifier() and not keyword.iskeyword(wanted) else "check_serial"
