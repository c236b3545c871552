"""Telling systemd how the service is doing (sd_notify(3)); nothing happens where systemd did not start us."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send ``state``, such as ``READY=1``, to the socket in NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    # Nobody may be listening there any more, and that is no reason not to serve.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(state.encode())
