"""The handshake era (2025-11-25 and before): initialize, sessions, streams that can be resumed.

Source: MCP 2025-11-25, basic/lifecycle and basic/transports. A lost connection is not a cancellation here:
the call goes on, and its events can be fetched with `Last-Event-ID`; `notifications/cancelled` cancels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from toolward.doors.mcp.asking import add_structured, asked_of, with_page
from toolward.doors.mcp.boundary import accepts
from toolward.doors.mcp.channel import Channel, disconnected, send_json, send_status
from toolward.doors.mcp.event_log import STANDALONE, EventLog, parse_event_id
from toolward.doors.mcp.exchange import HandshakeExchange
from toolward.doors.mcp.messages import Answer, Message, Notification, Request, check_params
from toolward.doors.mcp.replies import handshake_message
from toolward.doors.mcp.sessions import McpSession
from toolward.doors.mcp.visit import Shared, Visit, served_capabilities
from toolward.doors.mcp.wire import (
    HANDSHAKE_ACTIONS,
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    Json,
    malformed,
    unknown_method,
)
from toolward.kernel.attempt import Attempt
from toolward.model.call import Era
from toolward.model.session import SessionOrigin
from toolward.model.tool import ToolVersion

REQUEST_CANCELLED = -32800
"""What a request is answered with that its client cancelled (the code that LSP uses; MCP names none)."""
_KEEPALIVE = b": still here\n\n"
_STREAM_HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class Handshake:
    """Answers the 2025 era."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def post(self, visit: Visit, message: Message, *, may_stream: bool) -> None:
        """One message of the client."""
        if type(message) is Request:
            if message.method == "initialize":
                await self._initialize(visit, message)
                return
            session = self._session(visit)
            await self._request(visit, session, message, Channel(visit.send, may_stream=may_stream))
            return
        session = self._session(visit)
        if type(message) is Answer:
            session.settle(message)  # an id that nobody asked with, or a second answer, changes nothing
        elif type(message) is Notification and message.method == "notifications/cancelled":
            _cancel(session, message.params.get("requestId"))
        await send_status(visit.send, 202)

    async def get(self, visit: Visit) -> None:
        """The stream that belongs to no call, or the rest of one that broke (`Last-Event-ID`)."""
        if not accepts(visit.headers.get(b"accept"))[1]:
            raise malformed("the answer to a GET is text/event-stream and `Accept` has it not", status=406)
        session = self._session(visit)
        stream, position = _resumed(session, visit)
        await visit.send({"type": "http.response.start", "status": 200, "headers": list(_STREAM_HEADERS)})
        reader = object()
        session.readers += 1
        if stream == STANDALONE:
            # detached first, so that a client that comes back does not hear everything twice
            self._shared.gateway.notices.detach(session.session_id, session.heard)
            self._shared.gateway.notices.attach(session.session_id, session.heard)
            session.standalone = reader
            session.log.wake()
        try:
            await self._pump(visit, session, stream, position, reader)
        finally:
            session.readers -= 1

    async def delete(self, visit: Visit) -> None:
        """The client ends its session."""
        await self._shared.sessions.close(self._session(visit))
        await send_status(visit.send, 200)

    def _session(self, visit: Visit) -> McpSession:
        return self._shared.sessions.find(visit.headers.get(b"mcp-session-id"), visit.principal, visit.server)

    async def _initialize(self, visit: Visit, request: Request) -> None:
        params = request.params
        requested, capabilities = params.get("protocolVersion"), params.get("capabilities", {})
        if type(requested) is not str or type(capabilities) is not dict:
            raise malformed(
                "`protocolVersion` or `capabilities` is missing or of the wrong type",
                rpc_code=INVALID_PARAMS,
                request_id=request.request_id,
            )
        version = requested if requested in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[0]
        described = await self._shared.gateway.describe(visit.server)
        session = await self._open(visit, version, capabilities, handle=visit.handle(params))
        result: Json = {
            "protocolVersion": version,
            "capabilities": served_capabilities(described),
            "serverInfo": described.info or self._shared.settings.server_info,
        }
        if described.instructions:
            result["instructions"] = described.instructions
        message = {"jsonrpc": "2.0", "id": request.request_id, "result": result}
        await send_json(visit.send, 200, message, ((b"mcp-session-id", session.wire_id.encode()),))

    async def _open(
        self, visit: Visit, version: str, capabilities: Mapping[str, Any], *, handle: str
    ) -> McpSession:
        shared = self._shared
        settings = shared.settings
        if handle:
            session_id = shared.gateway.session(handle, visit.principal).session_id
        else:
            origin = SessionOrigin.STDIO if visit.connection else SessionOrigin.MCP_SESSION
            session_id = (await shared.gateway.open_session(visit.principal, origin)).session_id
        session = McpSession(
            wire_id=shared.ids.token(),
            session_id=session_id,
            principal=visit.principal,
            server=visit.server,
            version=version,
            capabilities=capabilities,
            log=EventLog(events_max=settings.replay_events_max, bytes_max=settings.replay_bytes_max),
            owned=not handle,
            last_used_ns=shared.clock.monotonic_ns(),
        )
        await shared.sessions.add(session)
        return session

    async def _request(self, visit: Visit, session: McpSession, request: Request, channel: Channel) -> None:
        if request.method == "ping":
            await channel.answer(200, {"jsonrpc": "2.0", "id": request.request_id, "result": {}})
            return
        action = HANDSHAKE_ACTIONS.get(request.method)
        if action is None:
            raise unknown_method(request.method, request.request_id, status=200)
        check_params(action, request)
        task = asyncio.current_task()
        if task is None or request.request_id in session.running:
            raise malformed("a request with that id is still running", request_id=request.request_id)
        exchange = HandshakeExchange(session, channel, request, visit=visit, shared=self._shared)
        attempt = Attempt(
            principal=visit.principal,
            session_id=session.session_id,
            action=action,
            params=request.params,
            server=visit.server,
            era=Era.HANDSHAKE,
            door=visit.door,
        )
        session.running[request.request_id] = task
        waits = False
        try:
            reply = await self._shared.gateway.perform(attempt, exchange)
            asked = asked_of(reply, action, self._shared.settings.approvals_url)
            message = handshake_message(
                request.request_id, action, with_page(reply, asked) if asked else reply
            )
            if asked is not None:
                waits = True
                add_structured(message["result"], asked, self._version(visit, request))
        except asyncio.CancelledError:
            if request.request_id not in session.cancelled:
                raise
            task.uncancel()
            error = {"code": REQUEST_CANCELLED, "message": "the client cancelled the request"}
            message = {"jsonrpc": "2.0", "id": request.request_id, "error": error}
        finally:
            session.running.pop(request.request_id, None)
            session.cancelled.discard(request.request_id)
        await exchange.finish(message, waits=waits)

    def _version(self, visit: Visit, request: Request) -> ToolVersion | None:
        return self._shared.gateway.tool_version(visit.server, request.params["name"], visit.principal)

    async def _pump(
        self, visit: Visit, session: McpSession, stream: int, position: int, reader: object
    ) -> None:
        """Send what is kept and what comes, until the stream ends or another reader took it over."""
        log, sent = session.log, position
        with log.listening() as changed:
            gone = self._shared.background.start(_set_when_gone(visit, changed))
            try:
                while True:
                    changed.clear()
                    for at, frame in log.after(stream, sent):
                        sent = at
                        await visit.send({"type": "http.response.body", "body": frame, "more_body": True})
                    superseded = stream == STANDALONE and session.standalone is not reader
                    if gone.done() or superseded or not log.is_open(stream):
                        break
                    if not changed.is_set():
                        await self._wait(visit, changed)
            finally:
                gone.cancel()
        await send_end(visit)

    async def _wait(self, visit: Visit, changed: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._shared.settings.keepalive_s):
                await changed.wait()
        except TimeoutError:
            await visit.send({"type": "http.response.body", "body": _KEEPALIVE, "more_body": True})


async def send_end(visit: Visit) -> None:
    """End an event stream."""
    await visit.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _set_when_gone(visit: Visit, changed: asyncio.Event) -> None:
    await disconnected(visit.receive)
    # done() must already be true when the reader wakes
    asyncio.get_running_loop().call_soon(changed.set)


def _resumed(session: McpSession, visit: Visit) -> tuple[int, int]:
    last = visit.headers.get(b"last-event-id")
    if last is None:
        return STANDALONE, session.log.position(STANDALONE)
    found = parse_event_id(last.decode("latin-1"))
    if found is None or not session.log.knows(found[0]):
        raise malformed("`Last-Event-ID` is none of this session's", remedy="open a new stream")
    return found


def _cancel(session: McpSession, request_id: object) -> None:
    if type(request_id) is not str and type(request_id) is not int:
        return
    task = session.running.get(request_id)
    if task is not None:
        session.cancelled.add(request_id)
        task.cancel()
