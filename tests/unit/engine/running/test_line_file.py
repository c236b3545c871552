"""Log lines in memory that two processes share, here through two descriptors of one process."""

import os
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.engine.running.in_process.line_file import HEADER, LineFile


class Sides:
    """The daemon's side, and the worker's."""

    def __init__(self) -> None:
        self.daemon = LineFile.create()
        self.worker = LineFile(os.dup(self.daemon._descriptor))  # pyright: ignore[reportPrivateUsage] - another process

    def messages(self, run: int, start: int = HEADER) -> list[str]:
        found, _ = self.daemon.read(run, start)
        return [entry.message for entry in found]


@pytest.fixture
def sides() -> Generator[Sides]:
    made = Sides()
    yield made
    made.daemon.close()
    made.worker.close()


def test_lines_are_there_while_the_run_goes_on(sides: Sides) -> None:
    sides.worker.begin()
    log = ReceiverLog(sides.worker.add)
    log.info("device 1", "one\ntwo")
    found, place = sides.daemon.read(1, HEADER)
    assert found == log.entries and isinstance(found[0], LogEntry)
    log.warning("password=hunter2")
    assert sides.messages(1, place) == ["password=***"]


def test_lines_of_a_run_go_when_the_next_one_begins(sides: Sides) -> None:
    """They must not appear in the log of another delivery, for any run that the daemon asks for."""
    sides.worker.begin()
    ReceiverLog(sides.worker.add).info("first")
    sides.worker.begin()
    assert (sides.daemon.runs, sides.messages(1), sides.messages(2)) == (2, [], [])
    ReceiverLog(sides.worker.add).info("second")
    assert (sides.messages(1), sides.messages(2)) == ([], ["second"])


def test_half_a_line_is_left_for_later(sides: Sides) -> None:
    """The worker was killed while it wrote, or a receiver has written to the file."""
    sides.worker.begin()
    ReceiverLog(sides.worker.add).info("whole")
    os.write(sides.worker._descriptor, b"no JSON\n{")  # pyright: ignore[reportPrivateUsage] - as a receiver could
    found, place = sides.daemon.read(1, HEADER)
    assert [entry.message for entry in found] == ["whole"]
    assert place == os.fstat(sides.worker._descriptor).st_size - 1  # pyright: ignore[reportPrivateUsage] - the same


def test_threads_do_not_overwrite_each_other(sides: Sides) -> None:
    sides.worker.begin()
    log = ReceiverLog(sides.worker.add)
    threads = [threading.Thread(target=lambda: [log.info("x" * 100) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sides.messages(1) == ["x" * 100] * 800


def test_a_file_of_the_receiver_is_left_alone(sides: Sides, tmp_path: Path) -> None:
    """It has closed all descriptors, as a program does that becomes a daemon, and then opened one."""
    sides.worker.begin()
    log = ReceiverLog(sides.worker.add)
    log.info("before")
    own = tmp_path / "own"
    own.write_text("its content" * 1000)
    with own.open("ab") as opened:
        os.dup2(opened.fileno(), sides.worker._descriptor)  # pyright: ignore[reportPrivateUsage] - as the system would
    log.info("after")
    sides.worker.begin()
    assert own.read_text() == "its content" * 1000
    assert [entry.message for entry in log.entries] == ["before", "after"]
    assert sides.messages(2) == []


def test_a_closed_file_has_no_lines(sides: Sides) -> None:
    sides.daemon.close()
    assert (sides.daemon.runs, sides.messages(1)) == (0, [])
    sides.daemon.close()
