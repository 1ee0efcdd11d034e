"""The bridge of the stdio door: lines of JSON-RPC on one side, the daemon's Unix socket on the other.

A thin client. It judges nothing and holds no state that decides: each line goes to the daemon as it is, and
the daemon parses it strictly. What it reads of a line is only what a transport needs (method, id, era).
One connection is one session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
from httptools import HttpParserError

from toolward.config.limits import CALL_BYTES_MAX
from toolward.doors.mcp.stdio.socket_http import Answered, EventLines, Exchanged, SocketHttp
from toolward.doors.mcp.wire import INTERNAL_ERROR, INVALID_REQUEST, PROTOCOL_VERSION_KEY, Json, RequestId
from toolward.errors import Reason
from toolward.errors import ReasonCode as Code
from toolward.kernel.tasks import Background

_RESUME_MAX = 5
"""How often in a row a broken stream is resumed before it is given up."""


class StdioBridge:
    """Carries messages between one client and the daemon. `write` gets whole lines without the line break."""

    def __init__(
        self, socket_path: str, endpoint: str, *, connection_id: str, write: Callable[[bytes], None]
    ) -> None:
        self._http = SocketHttp(socket_path)
        self._endpoint = endpoint
        self._write = write
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "x-toolward-stdio": connection_id,
        }
        self._running: dict[RequestId, Exchanged] = {}
        self._stateless: set[RequestId] = set()
        self._tasks = Background(self._report)
        self._standing: asyncio.Task[Any] | None = None
        self._broken: BaseException | None = None

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Until the client closes its side; then everything that was asked is answered, and the session ends.

        Raises what broke one of the bridge's own tasks, if anything did.
        """
        try:
            async for line in lines:
                if line.strip():
                    await self._take(line.strip())
            if self._standing is not None:
                self._standing.cancel()
            await self._tasks.drain()
            await self._end_session()
        finally:
            self._tasks.cancel()
            self._http.close()
        if self._broken is not None:
            raise self._broken

    async def _take(self, line: bytes) -> None:
        """Send one line on. Order: the next line waits until this one is with the daemon."""
        message = _glance(line)
        method, request_id = message.get("method"), _request_id(message)
        if len(line) > CALL_BYTES_MAX:
            text = f"the message is larger than {CALL_BYTES_MAX} bytes"
            self._fail(request_id, INVALID_REQUEST, Reason(code=Code.TOO_LARGE, text=text))
            return
        if method == "notifications/cancelled" and self._cancel_stateless(message):
            return
        try:
            sent = await self._http.start("POST", self._endpoint, self._headers, line)
        except OSError as error:
            self._fail(request_id, INTERNAL_ERROR, _unreachable(error))
            return
        if request_id is None:
            await self._deliver(sent, None)
            if method == "notifications/initialized":
                self._standing = self._tasks.start(self._listen())
            return
        self._running[request_id] = sent
        if _is_stateless(message):
            self._stateless.add(request_id)
        work = self._deliver(sent, request_id)
        if method == "initialize":
            await self._initialize(work)
        else:
            _ = self._tasks.start(work)

    async def _initialize(self, work: Awaitable[tuple[Answered | None, bytes]]) -> None:
        answered, last = await work
        if answered is None or "mcp-session-id" not in answered.headers:
            return
        self._headers["mcp-session-id"] = answered.headers["mcp-session-id"]
        version = _glance(last).get("result", {}).get("protocolVersion")
        if isinstance(version, str):
            self._headers["mcp-protocol-version"] = version

    async def _deliver(self, sent: Exchanged, request_id: RequestId | None) -> tuple[Answered | None, bytes]:
        """Write what the daemon answers; returns the response and its last message."""
        last = b""
        try:
            answered = await sent.head()
            if answered.is_stream:
                last = await self._relay_stream(answered, request_id)
            else:
                last = await answered.body()
                if last:
                    self._write(last)
        except (OSError, HttpParserError) as error:
            if request_id is None or request_id in self._running:
                self._fail(request_id, INTERNAL_ERROR, _unreachable(error))
            return None, b""
        else:
            return answered, last
        finally:
            sent.close()
            if request_id is not None:
                self._running.pop(request_id, None)
                self._stateless.discard(request_id)

    async def _relay_stream(self, answered: Answered, request_id: RequestId | None) -> bytes:
        """Pass on the events of a call; a stream that breaks before the result is resumed where it was."""
        events, last = EventLines(), b""
        resumed: Exchanged | None = None
        try:
            for attempt in range(_RESUME_MAX + 1):
                try:
                    async for chunk in answered.chunks():
                        for data in events.feed(chunk):
                            last = data
                            self._write(data)
                except OSError:
                    if request_id not in self._running or attempt == _RESUME_MAX:
                        raise
                if not events.last_id or _ends(last, request_id):
                    break
                if resumed is not None:
                    resumed.close()
                resumed = await self._open_stream(events.last_id)
                answered = await resumed.head()
        finally:
            if resumed is not None:
                resumed.close()
        return last

    async def _listen(self) -> None:
        """The stream that belongs to no call, for as long as the daemon holds it open."""
        events = EventLines()
        for _ in range(_RESUME_MAX):
            sent = await self._open_stream(events.last_id)
            try:
                answered = await sent.head()
                if not answered.is_stream:
                    return
                async for chunk in answered.chunks():
                    for data in events.feed(chunk):
                        self._write(data)
            except OSError:
                return
            finally:
                sent.close()

    async def _open_stream(self, last_id: str) -> Exchanged:
        headers = {**self._headers, "accept": "text/event-stream"}
        if last_id:
            headers["last-event-id"] = last_id
        return await self._http.start("GET", self._endpoint, headers)

    def _cancel_stateless(self, message: Json) -> bool:
        """In the stateless era closing the request's connection is what cancels it."""
        params = message.get("params")
        request_id = params.get("requestId") if isinstance(params, dict) else None
        if not isinstance(request_id, (str, int)) or request_id not in self._stateless:
            return False
        sent = self._running.pop(request_id, None)
        if sent is not None:
            sent.close()
        return True

    async def _end_session(self) -> None:
        try:
            sent = await self._http.start("DELETE", self._endpoint, self._headers)
            await (await sent.head()).body()
            sent.close()
        except OSError:
            return  # the daemon is gone, and its sessions' processes with it

    def _fail(self, request_id: RequestId | None, rpc_code: int, reason: Reason) -> None:
        if request_id is None:
            return
        error = {"code": rpc_code, "message": reason.sentence(), "data": reason.as_json()}
        self._write(orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}))

    def _report(self, error: BaseException) -> None:
        if not isinstance(error, OSError):
            self._broken = error


def _glance(line: bytes) -> Json:
    try:
        value = orjson.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _request_id(message: Json) -> RequestId | None:
    """The id of a request; None for anything else, an answer of the client included."""
    request_id = message.get("id")
    is_request = isinstance(message.get("method"), str) and isinstance(request_id, (str, int))
    return request_id if is_request else None


def _is_stateless(message: Json) -> bool:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return isinstance(meta, dict) and PROTOCOL_VERSION_KEY in meta


def _ends(data: bytes, request_id: RequestId | None) -> bool:
    message = _glance(data)
    return "method" not in message and message.get("id") == request_id


def _unreachable(error: BaseException) -> Reason:
    return Reason(
        code=Code.INTERNAL,
        text=f"the gateway's daemon can not be reached ({type(error).__name__})",
        remedy="start it with `toolward up` and try again",
    )
