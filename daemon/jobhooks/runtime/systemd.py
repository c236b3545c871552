"""How the service talks to systemd: its state by sd_notify(3), the priority of its log lines by sd-daemon(3)."""

import contextlib
import math
import os
import socket
import sys
import time

START_LIMIT_S = 60.0  # below TimeoutStartSec of the unit
FEED_S = 5.0  # below WatchdogSec of the unit
PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # of syslog


def notify(state: str) -> None:
    """Send ``state``, such as ``READY=1``, to the socket in NOTIFY_SOCKET; without systemd there is no such socket."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    # The daemon works without a service manager that listens.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(state.encode())


class Service:
    """The state of the service, as systemd shows it.

    A service that cannot start within ``START_LIMIT_S`` gives up: ``systemctl start`` fails visibly, and the boot goes
    on. systemd then starts it again.
    """

    def __init__(self) -> None:
        self._begun_at = time.monotonic()
        self._is_ready = False
        self._has_status = False

    def ready(self) -> None:
        """It delivers, or waits for another daemon or the promotion of a replica."""
        notify("READY=1")
        self._is_ready = True
        if self._has_status:
            notify("STATUS=ready")
            self._has_status = False

    def waits(self, reason: str) -> None:
        """It cannot work now."""
        notify(f"STATUS={' '.join(reason.split())}")
        self._has_status = True

    def time_to_start(self) -> float:
        """Seconds until it must be ready or give up: infinite if it is ready, or nobody waits for it."""
        if self._is_ready or not os.environ.get("NOTIFY_SOCKET"):
            return math.inf
        return START_LIMIT_S - (time.monotonic() - self._begun_at)


def pause(seconds: float) -> None:
    """Sleep, and keep systemd's watchdog content: a daemon that has started itself again is watched already."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        notify("WATCHDOG=1")
        time.sleep(min(left, FEED_S))


def watchdog_s() -> float | None:
    """WatchdogSec of the service, in seconds: WATCHDOG=1 must come more often."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000 or None


def stderr_is_journal() -> bool:
    """Whether systemd connected stderr to the journal, which takes a prefix such as ``<4>`` off each line.

    JOURNAL_STREAM alone does not say so: a child with another stderr inherits the variable.
    """
    stream = os.environ.get("JOURNAL_STREAM")
    if not stream:
        return False
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(sys.stderr.fileno())
        return stream == f"{status.st_dev}:{status.st_ino}"
    return False


def with_priority(level: str, text: str) -> str:
    """Put the priority of a log level before each line, as sd-daemon(3) says."""
    prefix = f"<{PRIORITIES.get(level, PRIORITIES['info'])}>"
    return "\n".join(prefix + line for line in text.split("\n"))
