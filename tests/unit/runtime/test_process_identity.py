"""Which processes of this host are known to have ended."""

import os
import subprocess
import sys
from collections.abc import Generator

import pytest

from jobhooks.runtime.process_identity import PARTS, has_ended, this_process

PROGRAM = """
from jobhooks.runtime.process_identity import this_process
print(this_process(), flush=True)
input()
"""


@pytest.fixture
def child() -> Generator[tuple[subprocess.Popen[str], str]]:
    """Another process, and its identity."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_a_process_is_known_to_have_ended_when_it_has(child: tuple[subprocess.Popen[str], str]) -> None:
    """Also before its parent has collected its exit code."""
    process, identity = child
    assert len(identity.split(":")) == PARTS
    assert not has_ended(identity)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(identity)
    process.wait()
    assert has_ended(identity)


def changed(identity: str, part: int, value: str) -> str:
    parts = identity.split(":")
    parts[part] = value
    return ":".join(parts)


def test_another_process_with_the_same_number_is_not_it(child: tuple[subprocess.Popen[str], str]) -> None:
    _, identity = child
    assert has_ended(changed(identity, 4, "1"))


def test_the_program_that_this_one_replaced_has_ended() -> None:
    """The watchdog starts the program again in the same process."""
    assert not has_ended(this_process())
    assert has_ended(changed(this_process(), 5, "0"))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_process_of_another_host_boot_or_namespace_may_live(part: int) -> None:
    identity = changed(changed(this_process(), 3, "4194304"), 5, "0")
    assert has_ended(identity)
    assert not has_ended(changed(identity, part, "0"))


def test_an_identity_without_a_place_may_live() -> None:
    """As of a system without /proc."""
    assert not has_ended("0123456789abcdef")
