"""The tests do not depend on signals that the shell ignores, as ``nohup make test &`` does."""

import signal
import subprocess
import sys

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def test_no_signal_is_ignored() -> None:
    """Programs that the tests start and end would ignore it as well."""
    assert [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN] == []


def test_no_signal_is_ignored_under_nohup() -> None:
    inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::test_no_signal_is_ignored"]
    shell = ["sh", "-c", "trap '' HUP INT QUIT TERM; exec \"$@\"", "sh"]
    finished = subprocess.run([*shell, *inner], check=False, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0 and "1 passed" in finished.stdout, finished.stdout
