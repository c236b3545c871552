"""How the daemon's process ends."""

import subprocess
import sys

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
