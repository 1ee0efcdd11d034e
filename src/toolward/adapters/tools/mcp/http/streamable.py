"""One link over streamable HTTP (MCP 2025-11-25 and 2026-07-28, "Transports")."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.tools.mcp.bounds import (
    INTERIM_BYTES_MAX,
    INTERIM_MESSAGES_MAX,
    PAUSE_S,
    RESUME_ATTEMPTS_MAX,
    RETRY_DEFAULT_MS,
    RETRY_MAX_MS,
)
from toolward.adapters.tools.mcp.flood import weight_of
from toolward.adapters.tools.mcp.http.client import AnswerTooLarge, HttpAnswer, HttpPool, Unreached
from toolward.adapters.tools.mcp.http.listening import listen_to_session
from toolward.adapters.tools.mcp.http.sse import EventTooLarge, SseEvent, SseReader
from toolward.adapters.tools.mcp.http.stream import BodyStream, Unanswered
from toolward.adapters.tools.mcp.link import Conversation, Heard, Link, Request
from toolward.adapters.tools.mcp.mirrored import header_value
from toolward.adapters.tools.mcp.wire import (
    STATELESS_VERSION,
    Ended,
    answers,
    failed,
    is_answer,
    notification_json,
    outcome_of,
    parse,
    request_json,
    stopped,
)
from toolward.errors import ReasonCode
from toolward.model.call import Era, Failed
from toolward.model.egress import EgressCode
from toolward.ports.egress import EgressRefused

_SESSION_ID: Final = re.compile(rb"[\x21-\x7e]{1,512}")
_ERROR_BYTES_MAX: Final = 64 * 1024
_EVENT_SLACK: Final = 4 * 1024
_NOT_DONE: Final = frozenset({429, 503})
_SERVER_FAULT: Final = 500
_CLIENT_FAULT: Final = 400
_REDIRECT: Final = 300
_NOT_FOUND: Final = 404
_DENIED: Final = ReasonCode.EGRESS_DENIED
_CODES_OF: Final = {EgressCode.UNRECORDED: ReasonCode.AUDIT_UNAVAILABLE}
"""The reason for a call whose connection was refused; every other refusal judges the destination."""


class HttpLink(Link):
    """Shares the server's connection pool; a handshake-era link owns one MCP session."""

    def __init__(  # noqa: PLR0913 -- what a link is, and the pool it shares
        self,
        *,
        pool: HttpPool,
        headers: bytes,
        era: Era,
        scope: str,
        capabilities: Mapping[str, Any],
        heard: Heard,
        counts: Counter[str],
    ) -> None:
        super().__init__(era=era, scope=scope, capabilities=capabilities, heard=heard, counts=counts)
        self._pool = pool
        self._headers = headers
        self._session = b""
        self._common = b""
        self._set_common("")

    def _set_common(self, version: str) -> None:
        """Header lines that every request of this link carries."""
        lines = b" %b HTTP/1.1\r\nhost: %b\r\n" % (self._pool.endpoint.target, self._pool.endpoint.authority)
        lines += self._headers
        if version:
            lines += b"mcp-protocol-version: %b\r\n" % version.encode("ascii")
        if self._session:
            lines += b"mcp-session-id: %b\r\n" % self._session
        self._common = lines
        self._post = (
            b"POST"
            + lines
            + b"content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        )

    # --- Link

    async def open(self) -> None:
        """Shake hands, or discover. Raises `Ended`."""
        if self.era is Era.STATELESS:
            self._set_common(STATELESS_VERSION)
        await self.say_hello()
        if self._session:
            self.tasks.spawn(listen_to_session(self), "listen to the session")

    def adopt(self, other: Link) -> None:
        """Take over what another stateless link learnt, without asking again."""
        self.hello = other.hello
        self._set_common(STATELESS_VERSION)

    @override
    async def begin(self, request: Request) -> Conversation:
        head = self._post
        if self.era is Era.STATELESS:
            head += b"mcp-method: %b\r\n" % request.method.encode("ascii")
            if request.name:
                head += b"mcp-name: %b\r\n" % header_value(request.name).encode("ascii")
            head += request.mirrored
        body = request_json(request.request_id, request.method, request.params)
        request.written = True
        answer = await self._exchange(
            head,
            body,
            body_max=request.output_max,
            repeatable=request.method != "tools/call",
            own=request.method == "subscriptions/listen",
        )
        if request.method == "initialize" and answer.status < _REDIRECT:
            self._take_session(answer)
        if answer.stream is not None and answer.status < _REDIRECT:
            return SseConversation(self, answer.stream, request)
        return Whole(self._whole(answer, request), len(answer.body))

    async def _exchange(
        self, head: bytes, body: bytes, *, body_max: int, repeatable: bool, own: bool = False
    ) -> HttpAnswer:
        try:
            return await self._pool.request(head, body, body_max=body_max, repeatable=repeatable, own=own)
        except EgressRefused as no:
            raise failed(
                f"{no.refusal.text}; {no.refusal.remedy}", _CODES_OF.get(no.refusal.code, _DENIED)
            ) from no
        except Unreached as wrong:
            raise failed(str(wrong)) from wrong
        except Unanswered as wrong:
            raise stopped(str(wrong), ReasonCode.UNKNOWN_OUTCOME) from wrong
        except AnswerTooLarge as wrong:
            text = f"the answer is longer than {body_max} bytes"
            raise stopped(text, ReasonCode.OUTPUT_TOO_LARGE) from wrong

    def _take_session(self, answer: HttpAnswer) -> None:
        """Keep the session that `initialize` opened."""
        session = answer.headers.get(b"mcp-session-id", b"")
        if session and not _SESSION_ID.fullmatch(session):
            raise failed("the server's session id holds characters that a header must not hold")
        self._session = session

    def _whole(self, answer: HttpAnswer, request: Request) -> dict[str, Any]:
        if answer.stream is not None:
            answer.stream.close()
        message = parse(answer.body) if answer.media_type == b"application/json" else None
        if answer.status >= _REDIRECT:
            raise self._refused(answer, message)
        if message is None or not is_answer(message) or not answers(message, request.request_id):
            self.counts["malformed"] += 1
            raise stopped(
                f"HTTP {answer.status} without a JSON-RPC answer to this request", ReasonCode.BAD_OUTPUT
            )
        return message

    def _refused(self, answer: HttpAnswer, message: Mapping[str, Any] | None) -> Ended:
        status = answer.status
        if status == _NOT_FOUND and self._session:
            self.alive = False
            return failed("the server ended the session; call again")
        if message is not None and "error" in message:
            outcome = outcome_of(message, len(answer.body))
            if isinstance(outcome, Failed):
                return Ended(outcome)
        if status < _CLIENT_FAULT:
            return failed(f"HTTP {status}: redirects are not followed; write the final URL into the ward")
        if status < _SERVER_FAULT or status in _NOT_DONE:
            return failed(f"the server refused with HTTP {status}")
        return stopped(f"the server failed with HTTP {status}", ReasonCode.UNKNOWN_OUTCOME)

    @override
    async def send(self, body: bytes) -> None:
        try:
            answer = await self._exchange(self._post, body, body_max=_ERROR_BYTES_MAX, repeatable=False)
        except Ended:
            self.counts["undelivered"] += 1
            return
        if answer.stream is not None:
            answer.stream.close()

    @override
    def cancel(self, request: Request) -> None:
        # The stateless era is told by closing the stream, which has happened by now.
        if self.era is Era.HANDSHAKE:
            params = {"requestId": request.request_id, "reason": "the caller waits no longer"}
            self.tasks.spawn(self.send(notification_json("notifications/cancelled", params)), "cancel")

    @override
    async def close(self) -> None:
        self.alive = False
        await self.tasks.close()
        if self._session:
            try:
                async with asyncio.timeout(1):
                    await self._exchange(
                        b"DELETE" + self._common, b"", body_max=_ERROR_BYTES_MAX, repeatable=False
                    )
            except (Ended, TimeoutError):
                self.counts["undelivered"] += 1

    @override
    def settled(self) -> None:
        self._set_common(self.hello.version)

    # --- streams

    async def get_stream(self, last_event_id: str) -> BodyStream | None:
        """The session's own stream, or one taken up again; None when the server has none. Raises `Ended`."""
        head = b"GET" + self._common + b"accept: text/event-stream\r\n"
        if last_event_id:
            head += b"last-event-id: %b\r\n" % header_value(last_event_id).encode("ascii")
        answer = await self._exchange(head, b"", body_max=_ERROR_BYTES_MAX, repeatable=True, own=True)
        if answer.stream is None or answer.status >= _REDIRECT:
            if answer.stream is not None:
                answer.stream.close()
            return None
        return answer.stream


class Whole:
    """An answer that came in one piece."""

    __slots__ = ("_message", "_size")

    def __init__(self, message: dict[str, Any], size: int) -> None:
        self._message = message
        self._size = size

    async def next(self) -> tuple[dict[str, Any], int]:
        """The answer."""
        return self._message, self._size

    def close(self) -> None:
        """Nothing to release."""


class SseConversation:
    """Messages of one request that came as an event stream; taken up again when the stream breaks."""

    def __init__(self, link: HttpLink, stream: BodyStream, request: Request) -> None:
        self._link = link
        self._stream: BodyStream | None = stream
        self._request = request
        self._reader = SseReader(request.output_max + _EVENT_SLACK)
        self._ready: deque[SseEvent] = deque()
        self._last_id = ""
        self._retry_ms = RETRY_DEFAULT_MS
        self._fruitless = 0
        self._messages = 0
        self._bytes = 0

    async def next(self) -> tuple[dict[str, Any], int]:
        """The next message that may belong to this request. Raises `Ended`."""
        while True:
            while self._ready:
                event = self._ready.popleft()
                self._last_id = self._last_id if event.event_id is None else event.event_id
                if event.retry_ms is not None:
                    self._retry_ms = min(event.retry_ms, RETRY_MAX_MS)
                said = event.data if event.kind == "message" else b""
                message = self._accept(said) if said else None
                if message is None or not is_answer(message):
                    await self._pace(weight_of(len(event.data)))
                if message is not None:
                    return message, len(event.data)
            await self._read()

    async def _pace(self, weight: int) -> None:
        """Who says what is no answer faster than that is worth has to wait: nothing is read meanwhile."""
        debt_s = self._link.pace.debt_s(weight)
        if debt_s > PAUSE_S:
            self._link.counts["paced"] += 1
            await asyncio.sleep(debt_s)

    def _accept(self, data: bytes) -> dict[str, Any] | None:
        self._fruitless = 0
        self._messages += 1
        self._bytes += len(data)
        message = parse(data)
        if message is None:
            self._link.counts["malformed"] += 1
        elif not is_answer(message):
            if self._messages <= INTERIM_MESSAGES_MAX and self._bytes <= INTERIM_BYTES_MAX:
                return message
            raise stopped("the server sent too many messages before its answer", ReasonCode.KILLED)
        elif answers(message, self._request.request_id):
            if len(data) > self._request.output_max:
                raise self._too_large()
            return message
        else:
            self._link.counts["unknown_id"] += 1
        if self._messages > INTERIM_MESSAGES_MAX:
            raise stopped("the server sent too many messages before its answer", ReasonCode.KILLED)
        return None

    def _too_large(self) -> Ended:
        text = f"the answer is longer than {self._request.output_max} bytes"
        return stopped(text, ReasonCode.OUTPUT_TOO_LARGE)

    async def _read(self) -> None:
        if self._stream is None:
            self._stream = await self._resume()
        try:
            chunk = await self._stream.read()
        except Unanswered:
            chunk = b""
        if chunk:
            try:
                self._ready.extend(self._reader.feed(chunk))
            except EventTooLarge as wrong:
                raise self._too_large() from wrong
            if noise := self._reader.noise():
                await self._pace(noise)
            return
        self._stream = None
        if not self._last_id or self._link.era is Era.STATELESS:
            raise stopped("the stream ended before the answer", ReasonCode.UNKNOWN_OUTCOME)

    async def _resume(self) -> BodyStream:
        self._fruitless += 1
        if self._fruitless > RESUME_ATTEMPTS_MAX:
            raise stopped("the stream ended before the answer", ReasonCode.UNKNOWN_OUTCOME)
        await asyncio.sleep(self._retry_ms / 1000)
        self._reader = SseReader(self._request.output_max + _EVENT_SLACK)
        try:
            stream = await self._link.get_stream(self._last_id)
        except Ended as wrong:
            raise stopped("the stream could not be taken up again", ReasonCode.UNKNOWN_OUTCOME) from wrong
        if stream is None:
            raise stopped("the stream could not be taken up again", ReasonCode.UNKNOWN_OUTCOME)
        return stream

    def close(self) -> None:
        """Drop the stream; in the stateless era this is how a request is cancelled."""
        if self._stream is not None:
            self._stream.close()
