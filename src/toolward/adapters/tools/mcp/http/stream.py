"""The body of an answer that is a stream of events, handed over in pieces that cost little to read."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from toolward.adapters.tools.mcp.bounds import STREAM_BUFFER_BYTES_MAX, STREAM_PIECE_BYTES


class Unanswered(Exception):
    """The request was written and the answer is missing or incomplete. `began`: some of it came."""

    def __init__(self, text: str, *, began: bool) -> None:
        super().__init__(text)
        self.began = began


class Source(Protocol):
    """The connection that a body comes on."""

    def pause(self) -> None:
        """Let the server wait."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class BodyStream:
    """The body of one answer as it arrives. Must be read to its end or closed."""

    __slots__ = ("_buffered", "_chunks", "_connection", "_error", "_finished", "_in_a_row", "_waiter")

    def __init__(self, connection: Source) -> None:
        self._connection = connection
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._in_a_row = 0  # bytes of lines that were read without anybody else having had a turn
        self._waiter: asyncio.Future[None] | None = None
        self._finished = False
        self._error: Exception | None = None

    async def read(self) -> bytes:
        """The next piece, b"" at the end; after some with lines to parse everybody else has a turn.

        A piece of a long line only has to be kept, so a large answer is read without waiting for others.
        Raises `Unanswered` when the connection broke.
        """
        if self._in_a_row >= STREAM_PIECE_BYTES:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._finished:
                return b""
            self._in_a_row = 0
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunk = self._chunks.popleft()
        if b"\n" in chunk or b"\r" in chunk:
            self._in_a_row += len(chunk)
        self._buffered -= len(chunk)
        if self._buffered <= STREAM_BUFFER_BYTES_MAX // 2:
            self._connection.resume()
        return chunk

    def close(self) -> None:
        """Stop reading; an unfinished stream takes its connection down, which tells the server."""
        if not self._finished:
            self._connection.abort()

    def take(self, chunk: bytes) -> None:
        """Called by the connection."""
        for start in range(0, len(chunk), STREAM_PIECE_BYTES):
            self._chunks.append(chunk[start : start + STREAM_PIECE_BYTES])
        self._buffered += len(chunk)
        if self._buffered > STREAM_BUFFER_BYTES_MAX:
            self._connection.pause()
        self._wake()

    def finish(self, error: Exception | None = None) -> None:
        """Called by the connection, once."""
        self._finished = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
