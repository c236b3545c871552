"""Standard streams that are closed at the start, and few descriptors."""

import subprocess
import sys

import pytest

FEW_FILES = """
import resource
from jobhooks.runtime.standard_streams import StandardStreams

resource.setrlimit(resource.RLIMIT_NOFILE, (60, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
streams = StandardStreams()
assert 2 < streams.log_descriptor < 60 and streams.put_back() == ([], [])
"""


@pytest.mark.parametrize("closed", [">&- <&-", "2>&-"])
def test_a_command_runs_without_standard_streams(closed: str) -> None:
    """The first file that it opens must not get the number of one: what is printed would go there."""
    run = f'"$0" -m jobhooks receiver list {closed}'
    ended = subprocess.run(["sh", "-c", run, sys.executable], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("validate_serial" in ended.stdout) is (not closed.startswith(">"))


def test_a_low_limit_of_open_files_is_enough() -> None:
    ended = subprocess.run([sys.executable, "-c", FEW_FILES], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
