"""Messages between the daemon and a worker process: pickled objects, each after its length."""

import pickle
import socket
import struct
from typing import Any

LENGTH = struct.Struct("!Q")


def encoded(message: object) -> bytes:
    """A message as it is sent."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> Any:
    """Wait for the next message.

    Raises:
        EOFError: the other side has closed the connection.
    """
    (length,) = LENGTH.unpack(_receive(connection, LENGTH.size))
    return pickle.loads(_receive(connection, length))  # noqa: S301 - between processes of the daemon


def _receive(connection: socket.socket, length: int) -> bytearray:
    received = bytearray(length)
    left = memoryview(received)
    while left:
        count = connection.recv_into(left)
        if not count:
            raise EOFError
        left = left[count:]
    return received


class Incoming:
    """Puts received bytes together to messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._bytes += data

    def next(self) -> bytes | None:
        """Take the next message that is complete, still pickled."""
        if len(self._bytes) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._bytes)
        end = LENGTH.size + length
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[LENGTH.size : end])
        del self._bytes[:end]
        return body
