"""Commands for authors: list receivers, and start a receiver with its test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import environment, jobhooks

FAILED, REFUSED = 1, 5


@pytest.mark.parametrize("flags", [(), ("--async",)])
def test_a_new_receiver_is_found_and_its_test_passes(tmp_path: Path, flags: tuple[str, ...]) -> None:
    finished = jobhooks("receiver", "new", "check_serial", *flags, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "receivers/check_serial.py" in finished.stderr and "tests/test_check_serial.py" in finished.stderr
    listed = jobhooks("receiver", "list", "--json", cwd=tmp_path)
    found = {one["job"]: one for one in json.loads(listed.stdout)}
    assert found["check_serial.CheckSerial"]["is_async"] == bool(flags)
    lines = (tmp_path / "receivers" / "check_serial.py").read_text().splitlines()
    line: int = found["check_serial.CheckSerial"]["line"]
    assert lines[line - 1].startswith("class CheckSerial")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": "receivers"},
    )
    assert "2 passed" in tested.stdout, tested.stdout
    again = jobhooks("receiver", "new", "check_serial", cwd=tmp_path)
    assert again.returncode == REFUSED and "check_serial.py" in again.stderr


@pytest.mark.parametrize("name", ["class", "a-b", "_a", "1a", ""])
def test_a_name_that_is_none_of_a_module_is_refused(tmp_path: Path, name: str) -> None:
    finished = jobhooks("receiver", "new", name, cwd=tmp_path)
    assert finished.returncode == REFUSED and name in finished.stderr
    assert not list(tmp_path.iterdir())


def test_a_broken_module_is_told_beside_those_that_are_not(tmp_path: Path) -> None:
    jobhooks("receiver", "new", "fine", cwd=tmp_path)
    (tmp_path / "receivers" / "broken.py").write_text("import nothing_like_this\n")
    finished = jobhooks("receiver", "list", cwd=tmp_path)
    assert finished.returncode == FAILED and "fine.Fine" in finished.stdout
    assert "broken.py:1" in finished.stderr and "nothing_like_this" in finished.stderr
