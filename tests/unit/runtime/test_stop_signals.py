"""How the daemon's process ends."""

import subprocess
import sys
from pathlib import Path

import pytest

ENDS = """
import asyncio, atexit, time
from jobhooks.runtime import stop_signals

stop_signals.LAST_RESORT_S = 0.2

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(0.5)
        print("freed", flush=True)

slow = Slow()

async def main():
    stop_signals.StopSignals(asyncio.Event(), 1, print).end_soon()

asyncio.run(main())
"""


def test_a_process_that_takes_long_to_free_its_objects_ends_well() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "freed\n")


def test_a_function_that_never_ends_does_not_keep_a_process() -> None:
    """One for the end of the process, from a module that was imported later."""
    keeping = f"{ENDS}\natexit.register(time.sleep, 3600)"
    ended = subprocess.run([sys.executable, "-c", keeping], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")


REPLACES = """
import asyncio, os, signal
from jobhooks.runtime.stop_signals import StopSignals

async def main():
    stop = asyncio.Event()
    signals = StopSignals(stop, 60, print)
    {replace}
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        await stop.wait()
    signals.end_soon()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "replace",
    [
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)",
        "signal.signal(15, lambda number, frame: None)",
        "asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, int)",
        "former = signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGTERM, former)",
    ],
)
def test_a_signal_counts_right_after_its_handler_was_replaced(replace: str) -> None:
    """A receiver can replace it in each of a thousand runs a second."""
    source = REPLACES.format(replace=replace)
    ended = subprocess.run([sys.executable, "-c", source], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


FORKS = """
import asyncio, os, signal
from jobhooks.runtime.stop_signals import StopSignals

async def main():
    StopSignals(asyncio.Event(), 60, print)
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

asyncio.run(main())
"""


def test_a_fork_of_the_daemon_can_set_its_handlers() -> None:
    """As a program of a receiver does that uses multiprocessing."""
    ended = subprocess.run([sys.executable, "-c", FORKS], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("-15\n", "")


RESTARTS = """
import os, signal, sys
from pathlib import Path
from jobhooks.runtime.restart import restart
from jobhooks.runtime.stop_signals import end_at_once_on_sigterm

started = Path(sys.argv[1])
if not started.exists():
    started.touch()
    restart()
os.kill(os.getpid(), signal.SIGTERM)
end_at_once_on_sigterm()
"""


def test_a_signal_to_a_daemon_that_starts_itself_again_waits_for_its_handler(tmp_path: Path) -> None:
    program = tmp_path / "restarts.py"
    program.write_text(RESTARTS)
    command = [sys.executable, str(program), str(tmp_path / "started")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
