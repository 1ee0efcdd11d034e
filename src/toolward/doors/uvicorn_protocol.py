"""What uvicorn's HTTP protocol lacks: who is at a Unix socket, an end to dawdling, and answers in one piece.

The peer is told to the application by the kernel and not by the caller: each request's ASGI scope has
`scope["extensions"]["toolward"] = {"os_uid": <int>}`. Over TCP the extension is absent, and no header can
bring it there.

uvicorn bounds how long a connection may idle between requests, and not how long a request may take to
arrive: whoever sends nothing, or a byte a minute, would hold a socket for ever without showing a credential.
Nor does it bound a rest once bytes came that begin no request. One timer for each connection does all here.

It writes a response's head and body apart, and its transport sends each at once. Here an answer whose length
its head says is one write: one system call and one packet, and the caller wakes up once.
"""

from __future__ import annotations

import socket
import struct
import sys
from asyncio import BaseTransport, Event, TimerHandle, Transport
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import unquote

from httptools import parse_url
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

REQUEST_WITHIN_S: Final = 30.0
"""From the connection, or a request's first byte, to its last one; a body has 4 MiB at most."""
_URL_BYTES_MAX: Final = 256
"""Of a URL whose parts are remembered: a thousand of them are no memory to speak of."""
_OUT_OF_THE_COMMON: Final = frozenset({b"connection", b"transfer-encoding"})
_UCRED = struct.Struct("3i")


class DoorProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol for TCP and Unix sockets: `uvicorn.Config(http=DoorProtocol, ...)`."""

    request_within_s: float = REQUEST_WITHIN_S
    _os_uid: int | None = None
    _arriving_since: float | None = None
    _resting_since: float | None = None
    _patience: TimerHandle | None = None

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        """Asks once for each connection."""
        super().connection_made(cast("Transport", transport))
        self._os_uid = peer_uid(transport.get_extra_info("socket"))
        self._arriving_since = self.loop.time()
        self._patience = self.loop.call_later(self.request_within_s, self._lose_patience)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timer."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        """Puts the peer into each request's scope."""
        self._arriving_since = self.loop.time()
        super().on_message_begin()
        if self._os_uid is not None:
            self.scope["extensions"] = {"toolward": {"os_uid": self._os_uid}}

    @override
    def on_headers_complete(self) -> None:
        """Begin a `POST` that is alone on its connection; all else goes uvicorn's own way."""
        parser = self.parser
        before: RequestResponseCycle | None = self.cycle
        alone = before is None or before.response_complete
        if (
            not alone
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or self.limit_concurrency is not None
            or len(self.url) > _URL_BYTES_MAX
        ):
            super().on_headers_complete()
            return
        scope = self.scope
        scope["method"] = "POST"
        scope["path"], scope["raw_path"], scope["query_string"] = _parts(self.root_path, self.url)
        self.cycle = _Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)

    @override
    def on_message_complete(self) -> None:
        """The request is whole; from here on its answer may take as long as it does."""
        self._arriving_since = None
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        """As uvicorn does, without a timer for each answer that the next request has to stop."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._resting_since = self.loop.time()

    def _lose_patience(self) -> None:
        """One timer for each connection, set anew only when it has run out, so that requests cost none."""
        now, within = self.loop.time(), self.request_within_s
        if self._arriving_since is not None and self.flow.read_paused:
            self._arriving_since = now  # it is we who do not read on
        since = self._arriving_since
        if since is None and self._resting_since is not None and self.cycle.response_complete:
            since, within = self._resting_since, self.timeout_keep_alive
        if since is not None and now - since >= within:
            self.transport.close()
            return
        left = within if since is None else since + within - now
        self._patience = self.loop.call_later(min(left, self.request_within_s), self._lose_patience)


class _Cycle(RequestResponseCycle):
    """A `POST` and its answer. A head that ends with a length waits for its body, as ASGI allows."""

    _head: Any = None

    @override
    async def send(self, message: Any) -> None:
        """ASGI's send. What is out of the common is uvicorn's to write, or to refuse."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head, headers = None, message.get("headers")  # an application that failed begins anew
            # as our doors write them: a list, the length last
            if type(headers) is list and headers and headers[-1][0] == b"content-length":
                self._head = message
                return
        head, self._head = self._head, None
        if head is not None:
            whole = _whole([*self.default_headers, *head["headers"]], head["status"], message)
            goes_on = self.keep_alive and not self.disconnected and not self.flow.write_paused
            if whole and goes_on and not self.access_log:
                self.response_started = self.response_complete = True
                self.waiting_for_100_continue = False
                self.transport.write(whole)
                self.message_event.set()
                self.on_response()
                return
            await super().send(head)
        await super().send(message)


def _whole(headers: list[tuple[bytes, bytes]], status: int, message: Any) -> bytes:
    """A response as it is written, or nothing where that takes more than putting its parts together."""
    body: bytes = message.get("body", b"")
    length = b"%d" % len(body)
    lines = [STATUS_LINE[status]]
    for name, value in headers:
        if not _is_common(name) or (name == b"content-length" and value != length):
            return b""
        lines.append(b"%b: %b" % (name, value))
    if message["type"] != "http.response.body" or message.get("more_body"):
        return b""
    if HEADER_VALUE_RE.search(b"".join(lines[1:])):
        return b""
    return lines[0] + b"\r\n".join(lines[1:]) + b"\r\n\r\n" + body


@lru_cache(maxsize=256)
def _is_common(name: bytes) -> bool:
    """A header that says nothing about the connection, in letters as they are written."""
    return name == name.lower() and name not in _OUT_OF_THE_COMMON and HEADER_RE.search(name) is None


@lru_cache(maxsize=1_024)
def _parts(root_path: str, url: bytes) -> tuple[str, bytes, bytes]:
    """Path as the scope has it, as it was sent, and the query."""
    parsed = parse_url(url)
    path = parsed.path.decode("ascii")
    return root_path + unquote(path), root_path.encode("ascii") + parsed.path, parsed.query or b""


def peer_uid(connection: socket.socket | None) -> int | None:
    """The user id of a Unix socket's peer (`SO_PEERCRED`); None over TCP or where it can not be known."""
    if connection is None or connection.family != socket.AF_UNIX or sys.platform != "linux":
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, _gid = _UCRED.unpack(credentials)
    return int(uid)
