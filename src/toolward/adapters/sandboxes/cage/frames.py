"""Frames between the gateway and a worker: four bytes of length, then JSON. Nothing is ever unpickled."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

HEADER: Final = struct.Struct("!I")
FDS_MAX: Final = 80
"""Descriptors with one frame: a mount for each path of a scope, three pipes, and some to spare."""
REQUEST_BYTES_MAX: Final = 64 * 1024 * 1024
"""A call's arguments are bounded by the gateway long before; this stops a runaway length."""


def pack(message: Any) -> bytes:
    """One frame."""
    body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    return HEADER.pack(len(body)) + body


def receive(conn: socket.socket) -> tuple[Any, list[int]]:
    """The next message and the descriptors with it. Raises `EOFError` when the other side is gone."""
    head, fds, _, _ = socket.recv_fds(conn, HEADER.size, FDS_MAX)
    head += _exactly(conn, HEADER.size - len(head)) if head else b""
    if not head:
        raise EOFError
    (length,) = HEADER.unpack(head)
    if length > REQUEST_BYTES_MAX:
        raise EOFError
    return json.loads(_exactly(conn, length)), list(fds)


def _exactly(conn: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = conn.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
