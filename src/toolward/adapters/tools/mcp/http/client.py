"""A small pooled HTTP/1.1 client on `httptools`: what one MCP endpoint needs, and no more.

One pool serves one origin. Redirects are never followed: whoever approved a URL approved that URL. An
answer is read whole, up to a limit that holds while reading, or handed over as a stream of events.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final, cast

import httptools
from msgspec import Struct
from typing_extensions import override

from toolward.adapters.tools.mcp.bounds import (
    CONNECT_TIMEOUT_S,
    CONNECTION_IDLE_S,
    HEADER_BYTES_MAX,
)
from toolward.adapters.tools.mcp.http.endpoint import Endpoint, WayOut
from toolward.adapters.tools.mcp.http.stream import BodyStream, Unanswered

HTTP_OK_FIRST: Final = 200


class Unreached(Exception):
    """No byte of the request was written."""


class AnswerTooLarge(Exception):
    """The body exceeded the limit given with the request."""


class HttpAnswer(Struct, eq=False):
    """One answer. `stream` is set instead of `body` when it is an event stream."""

    status: int
    headers: dict[bytes, bytes]  # names in lower case; the last of equal names stands
    body: bytes
    stream: BodyStream | None

    @property
    def media_type(self) -> bytes:
        """The content type without parameters, in lower case."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


class _Connection(asyncio.Protocol):
    """One connection with at most one exchange on it."""

    def __init__(self, pool: HttpPool, *, counted: bool) -> None:
        self.pool = pool
        self.counted = counted
        self.idle_since = 0.0
        self.keep_s = CONNECTION_IDLE_S
        self.usable = True
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._stream: BodyStream | None = None
        self._paused = False
        self._clear()

    def _clear(self) -> None:
        self._began = False
        self._head_size = 0
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._body_max = 0

    # --- used by the pool and by streams

    def send(self, data: bytes, body_max: int) -> asyncio.Future[HttpAnswer]:
        """Write one whole request; the future brings the answer, or its head when it is a stream."""
        transport = self._transport
        if transport is None or transport.is_closing() or not self.usable:
            raise Unreached("the connection was closed")
        self._clear()
        self._body_max = body_max
        self._answer = asyncio.get_running_loop().create_future()
        transport.write(data)
        return self._answer

    def abort(self) -> None:
        """Close at once, without waiting for anything in flight."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Let the server wait until the reader caught up."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # --- asyncio.Protocol

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    @override
    def data_received(self, data: bytes) -> None:
        if self._answer is None and self._stream is None:
            self.abort()  # bytes that nobody asked for would be read as the next call's answer
            return
        self._began = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as wrong:
            self._break(Unanswered(f"the answer is not HTTP ({type(wrong).__name__})", began=True))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        until_close = (
            self._status >= HTTP_OK_FIRST
            and b"content-length" not in self._headers
            and b"chunked" not in self._headers.get(b"transfer-encoding", b"").lower()
        )
        if until_close and exc is None and (self._answer is not None or self._stream is not None):
            self.on_message_complete()
        else:
            self._break(Unanswered("the connection was closed before the answer", began=self._began))
        self.pool.lost(self)

    # --- httptools

    def on_message_begin(self) -> None:
        """A second answer to one request poisons the connection."""
        if self._answer is None and self._stream is None:
            self.usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._head_size += len(name) + len(value)
        if self._head_size > HEADER_BYTES_MAX:
            raise ValueError("the head of the answer is too large")
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Decide between a whole body and a stream."""
        self._status = self._parser.get_status_code()
        if self._status < HTTP_OK_FIRST:
            return
        kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind == b"text/event-stream" and self._answer is not None:
            self._stream = BodyStream(self)
            self._settle(HttpAnswer(self._status, self._headers, b"", self._stream))

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        if self._stream is not None:
            self._stream.take(body)
            return
        if len(self._body) + len(body) > self._body_max:
            self._break(AnswerTooLarge())
            return
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole; informational ones (1xx) are passed over."""
        if self._status < HTTP_OK_FIRST:
            self._headers = {}
            self._status = 0
            return
        if not self._parser.should_keep_alive():
            self.usable = False
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.finish()
            self.pool.release(self)
            return
        self._settle(HttpAnswer(self._status, self._headers, bytes(self._body), None))

    def _settle(self, answer: HttpAnswer) -> None:
        future, self._answer = self._answer, None
        if future is not None and not future.done():
            future.set_result(answer)

    def _break(self, error: Exception) -> None:
        future, self._answer = self._answer, None
        stream, self._stream = self._stream, None
        self.abort()
        if future is not None and not future.done():
            future.set_exception(error)
        if stream is not None:
            stream.finish(error)


class HttpPool:
    """Persistent connections to one origin, at most `connections_max`, not counting those with `own=True`."""

    def __init__(
        self, endpoint: Endpoint, way_out: WayOut, *, connections_max: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self.endpoint = endpoint
        self._way_out = way_out
        self._tls = tls
        self._max = connections_max
        self._open = 0
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()
        self._closed = False

    async def request(
        self, head: bytes, body: bytes = b"", *, body_max: int, repeatable: bool, own: bool = False
    ) -> HttpAnswer:
        """Send one request: `head` is the request line and headers, without length and blank line.

        With `repeatable`, a request that met a connection which was just being closed is sent once more.
        Raises `EgressRefused`, `Unreached`, `Unanswered`, `AnswerTooLarge`. Cancelling closes the connection.
        """
        data = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body) if body else head + b"\r\n"
        for attempt in range(3):
            connection = await self._acquire(own=own)
            fresh = connection.idle_since == 0.0
            try:
                answer = await connection.send(data, body_max)
            except Unreached:
                connection.abort()
                if attempt == 2:  # noqa: PLR2004 -- the last of three
                    raise
                continue
            except Unanswered as lost:
                if repeatable and not lost.began and not fresh and attempt < 2:  # noqa: PLR2004 -- as above
                    continue
                raise
            except BaseException:
                connection.abort()
                raise
            if answer.stream is None:
                self.release(connection)
            return answer
        raise Unreached("no connection stayed open")

    async def close(self) -> None:
        """Close every connection; requests under way are unanswered."""
        self._closed = True
        for connection in tuple(self._all):
            connection.abort()

    def release(self, connection: _Connection) -> None:
        """Called when an exchange ended well."""
        if not connection.usable or not connection.counted or self._closed:
            connection.abort()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Called by a connection when it is closed, whatever the cause."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._uncount(connection)

    def _uncount(self, connection: _Connection) -> None:
        if connection.counted:
            connection.counted = False
            self._open -= 1
            self._pass_on(None)

    def _pass_on(self, connection: _Connection | None) -> None:
        if connection is not None:
            self.release(connection)
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _acquire(self, *, own: bool) -> _Connection:
        if self._closed:
            raise Unreached("the client is closed")
        if own:
            return await self._connect(counted=False)
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - connection.idle_since < connection.keep_s:
                return connection
            connection.abort()
        while self._open >= self._max:
            waiter: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                given = await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._pass_on(waiter.result())
                raise
            if given is not None:
                return given
        return await self._connect(counted=True)

    async def _connect(self, *, counted: bool) -> _Connection:
        connection = _Connection(self, counted=counted)
        self._open += counted
        made = False
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                vetted = await self._way_out.to(self.endpoint)
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    sock=vetted,
                    ssl=self._tls if self.endpoint.secure else None,
                    server_hostname=self.endpoint.host if self.endpoint.secure else None,
                )
            made = True
        except (OSError, TimeoutError) as wrong:
            why = type(wrong).__name__ if isinstance(wrong, TimeoutError) else str(wrong)
            raise Unreached(f"no connection to {self.endpoint.authority.decode()}: {why}") from wrong
        finally:
            if not made:
                self._uncount(connection)
        self._all.add(connection)
        return connection
