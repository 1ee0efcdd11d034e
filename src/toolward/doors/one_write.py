"""A response's head and body in one write: one system call and one packet, and the caller wakes up once.

uvicorn writes them apart, and its transport sends each at once. Here a head waits for what follows it in the
same turn of the event loop, and leaves at the end of that turn if nothing does.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle, Transport
from typing import Any, Final, cast

_HEAD: Final = b"HTTP/1.1 "


class OneWrite:
    """A transport as uvicorn uses one; everything but writing is the real one's."""

    __slots__ = ("_flushing", "_head", "_loop", "_transport", "get_extra_info", "is_closing")

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._flushing: Handle | None = None
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, after the head that waits, if one does."""
        if self._head:
            data = self._taken() + data
        elif data.startswith(_HEAD):
            self._head = data
            self._flushing = self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """What waits is sent first."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._taken())

    def _taken(self) -> bytes:
        head, self._head = self._head, b""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        return head


def one_write(transport: Transport, loop: AbstractEventLoop) -> Transport:
    """`transport`, writing heads and bodies together."""
    return cast("Transport", OneWrite(transport, loop))
