"""HTTP/1.1 over a Unix socket: the little that the stdio bridge needs, with kept connections and streams.

Only for the gateway's own daemon at the other end: no redirects, no proxies, no compression.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping

import httptools

_READ_BYTES = 64 * 1024
_IDLE_MAX = 8
_IDLE_S = 1.0
"""How long a connection is kept; well below the daemon's own limit, so that none dies in our hands."""


class Answered:
    """One response. The body must be read to its end before the connection is used again."""

    def __init__(self, connection: _Connection) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.started = False
        self._connection = connection
        self._chunks: deque[bytes] = deque()

    @property
    def is_stream(self) -> bool:
        """Whether the body is an event stream."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `ConnectionError` if it is cut off."""
        while True:
            while self._chunks:
                yield self._chunks.popleft()
            if self.complete:
                return
            await self._connection.read_more()

    async def body(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    # --- httptools callbacks ------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The status is known."""
        self.started = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The end."""
        self.complete = True


class _Connection:
    """One socket and the response that is on its way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._parser: httptools.HttpResponseParser | None = None
        self.answered: Answered | None = None
        self.kept_at = 0.0

    async def send(self, head: bytes, body: bytes) -> Answered:
        self.answered = Answered(self)
        self._parser = httptools.HttpResponseParser(self.answered)
        self._writer.write(head + body)
        await self._writer.drain()
        return self.answered

    async def read_more(self) -> None:
        data = await self._reader.read(_READ_BYTES)
        if not data or self._parser is None or self.answered is None:
            raise ConnectionResetError("the daemon closed the connection")
        self._parser.feed_data(data)
        if self.answered.started and not self.answered.status:
            self.answered.status = self._parser.get_status_code()

    def usable(self) -> bool:
        answered = self.answered
        done = answered is None or (answered.complete and answered.headers.get("connection") != "close")
        return done and not self._writer.is_closing() and not self._reader.at_eof()

    def close(self) -> None:
        self._writer.close()


class Exchanged:
    """One request on its way; closing it early closes its connection, which the daemon sees."""

    def __init__(self, pool: SocketHttp, connection: _Connection, answered: Answered) -> None:
        self._pool = pool
        self._connection = connection
        self.answered = answered

    async def head(self) -> Answered:
        """The response once its status and headers are there."""
        while not self.answered.started:
            await self._connection.read_more()
        return self.answered

    def close(self) -> None:
        """Give the connection back, or close it if the response has not ended."""
        self._pool.put_back(self._connection)


class SocketHttp:
    """Requests to one Unix socket, each on a connection of its own while it runs."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._idle: deque[_Connection] = deque()

    async def start(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Exchanged:
        """Write the request and return without waiting for the response. Raises `OSError`."""
        lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        connection = self._take()
        if connection is None:
            connection = _Connection(*await asyncio.open_unix_connection(self._path))
        return Exchanged(self, connection, await connection.send(head, body))

    def put_back(self, connection: _Connection) -> None:
        """Keep a connection whose response has ended, close any other."""
        if connection.usable() and len(self._idle) < _IDLE_MAX:
            connection.kept_at = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            fresh = asyncio.get_running_loop().time() - connection.kept_at < _IDLE_S
            if fresh and connection.usable():
                return connection
            connection.close()
        return None


class EventLines:
    """Takes server-sent events apart: feed bytes, get the data and the id of whole events."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self.last_id = ""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes; events without data only move `last_id`."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events: list[bytes] = []
        for line in (raw.rstrip(b"\r") for raw in lines):
            if line.startswith(b"data:"):
                self._data.append(line[5:].lstrip(b" "))
            elif line.startswith(b"id:"):
                self.last_id = line[3:].strip().decode("latin-1")
            elif not line:
                data = b"\n".join(self._data)
                self._data.clear()
                if data:
                    events.append(data)
        return events
