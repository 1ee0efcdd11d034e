"""The stateless era (2026-07-28): each request carries all it needs, and the response is the only stream.

Source: MCP 2026-07-28, basic and basic/transports. Closing the connection cancels the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from toolward.doors.mcp.asking import Asked, add_structured, asked_of, patience, takes_url, with_page
from toolward.doors.mcp.boundary import Headers
from toolward.doors.mcp.channel import Channel, disconnected, send_json, send_status
from toolward.doors.mcp.exchange import StatelessExchange
from toolward.doors.mcp.messages import Message, Notification, Request, check_params
from toolward.doors.mcp.replies import stateless_message, stateless_result
from toolward.doors.mcp.stateless.listen import Listening
from toolward.doors.mcp.stateless.mirrored import MirrorChecks, check_standard
from toolward.doors.mcp.stateless.multi_round import open_state, seal_own, seal_result
from toolward.doors.mcp.stateless.stdio_sessions import StdioSessions
from toolward.doors.mcp.stateless.waiting import Waited, input_required, own_state
from toolward.doors.mcp.visit import Shared, Visit, served_capabilities
from toolward.doors.mcp.wire import (
    CLIENT_CAPABILITIES_KEY,
    INVALID_PARAMS,
    PROTOCOL_VERSION_KEY,
    STATELESS_ACTIONS,
    STATELESS_VERSIONS,
    UNSUPPORTED_VERSION,
    Json,
    Refusal,
    RequestId,
    malformed,
    unknown_method,
)
from toolward.errors import Reason
from toolward.errors import ReasonCode as Code
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Era, Reply


class _Pending(Struct, frozen=True):
    """A reply that says that a person was asked."""

    reply: Reply
    asked: Asked
    waited: Waited | None


class Stateless:
    """Answers the 2026 era."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._mirrors = MirrorChecks()
        self._stdio = StdioSessions(shared)

    async def post(self, visit: Visit, message: Message, *, may_stream: bool) -> None:
        """One message of the client."""
        if type(message) is Notification:
            # this era has none that a server acts on; clients in the field send some all the same
            await send_status(visit.send, 202)
            return
        if type(message) is not Request:
            raise malformed("this version has no answers of the client", remedy="retry the request instead")
        check_envelope(message, visit.headers, mirrored=not visit.connection)
        if message.method == "server/discover":
            await send_json(visit.send, 200, await self._discover(visit, message))
        elif message.method == "subscriptions/listen":
            if not may_stream:
                raise malformed("the answer is text/event-stream and `Accept` has it not", status=406)
            session_id = await self._session_id(visit, message)
            await Listening(self._shared, visit, message, session_id).run()
        else:
            await self._request(visit, message, may_stream=may_stream)

    async def end_connection(self, visit: Visit) -> None:
        """A stdio connection was closed: its session ends."""
        await self._stdio.end(visit)
        await send_status(visit.send, 200)

    async def _discover(self, visit: Visit, request: Request) -> Json:
        described = await self._shared.gateway.describe(visit.server)
        result: Json = {
            "supportedVersions": list(STATELESS_VERSIONS),
            "capabilities": served_capabilities(described),
        }
        if described.instructions:
            result["instructions"] = described.instructions
        info = described.info or self._shared.settings.server_info
        return {
            "jsonrpc": "2.0",
            "id": request.request_id,
            "result": stateless_result(None, result, info),
        }

    async def _request(self, visit: Visit, request: Request, *, may_stream: bool) -> None:
        action = STATELESS_ACTIONS.get(request.method)
        if action is None:
            raise unknown_method(request.method, request.request_id, status=404)
        check_params(action, request)
        if action is Action.CALL_TOOL and not visit.connection:
            version = self._shared.gateway.tool_version(visit.server, request.params["name"], visit.principal)
            if version is not None:
                self._mirrors.check(request, visit.headers, version)
        session_id = await self._session_id(visit, request)
        params, waited = open_state(self._shared.sealer, visit, action, request, session_id)
        attempt = Attempt(
            principal=visit.principal,
            session_id=session_id,
            action=action,
            params=params,
            server=visit.server,
            era=Era.STATELESS,
            door=visit.door,
        )
        channel = Channel(visit.send, may_stream=may_stream)
        exchange = StatelessExchange(
            channel, request, self._shared.settings, patience_s=self._patience_s(visit, request, waited)
        )
        reply = await self._until_gone(visit, attempt, exchange)
        if reply is None:
            return
        asked = asked_of(reply, action, self._shared.settings.approvals_url)
        if asked is not None:
            status, message = await self._asked(visit, request, attempt, _Pending(reply, asked, waited))
        else:
            reply = seal_result(self._shared.sealer, visit, action, request, reply)
            info = await self._shared.server_info(visit.server)
            status, message = stateless_message(request.request_id, action, reply, info)
        await channel.answer(status, message)

    def _patience_s(self, visit: Visit, request: Request, waited: Waited | None) -> float:
        """Who can be sent to the page is told at once; who comes back from there waits with everybody."""
        can_look = takes_url(request.params["_meta"][CLIENT_CAPABILITIES_KEY])
        if waited is None and can_look and self._shared.settings.approvals_url:
            return 0
        return patience(visit.headers, self._shared.settings.approval_hold_s)

    async def _asked(
        self, visit: Visit, request: Request, attempt: Attempt, pending: _Pending
    ) -> tuple[int, Json]:
        """A call that waits for a person: the page, or words for who can not be sent there or will not go."""
        asked, waited = pending.asked, pending.waited
        info = await self._shared.server_info(visit.server)
        can_look = takes_url(request.params["_meta"][CLIENT_CAPABILITIES_KEY])
        if asked.url and can_look and (waited is None or waited.willing):
            state = own_state(asked, attempt.params)
            sealed = seal_own(self._shared.sealer, visit, request, attempt.session_id, state)
            result = input_required(pending.reply, asked, sealed, again=waited is not None)
            result = stateless_result(attempt.action, result, info)
            return 200, {"jsonrpc": "2.0", "id": request.request_id, "result": result}
        reply = with_page(pending.reply, asked)
        status, message = stateless_message(request.request_id, attempt.action, reply, info)
        version = self._shared.gateway.tool_version(visit.server, request.params["name"], visit.principal)
        add_structured(message["result"], asked, version)
        return status, message

    async def _session_id(self, visit: Visit, request: Request) -> str:
        gateway = self._shared.gateway
        if handle := visit.handle(request.params):
            return gateway.session(handle, visit.principal).session_id
        if visit.connection:
            return await self._stdio.session_id(visit)
        return (await gateway.idle_session(visit.principal, visit.client)).session_id

    async def _until_gone(self, visit: Visit, attempt: Attempt, exchange: StatelessExchange) -> Reply | None:
        """The reply, or None when the caller went away first and the call was cancelled."""
        watch = _Watch(visit, self._shared)
        try:
            return await self._shared.gateway.perform(attempt, exchange)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
            watch.task.uncancel()
            return None
        finally:
            watch.stop()


class _Watch:
    """Cancels the current task when its caller goes away. Quick calls pay one timer for it and no task."""

    __slots__ = ("_shared", "_timer", "_visit", "_watcher", "gone", "task")

    def __init__(self, visit: Visit, shared: Shared) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the door runs inside a task")
        self.task = task
        self.gone = False
        self._visit = visit
        self._shared = shared
        self._watcher: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(shared.settings.watch_after_s, self._start)

    def stop(self) -> None:
        """The call is over."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start(self) -> None:
        self._watcher = self._shared.background.start(self._watch())

    async def _watch(self) -> None:
        await disconnected(self._visit.receive)
        self.gone = True
        self.task.cancel()


def check_envelope(request: Request, headers: Headers, *, mirrored: bool) -> None:
    """Raise `Refusal` unless `_meta` is complete, the headers agree with it, and we speak the version.

    `mirrored` is false on a bridged stdio connection, which has no headers to agree with.
    """
    meta = request.params.get("_meta")
    meta = meta if type(meta) is dict else {}
    missing = [key for key in (PROTOCOL_VERSION_KEY, CLIENT_CAPABILITIES_KEY) if key not in meta]
    if missing:
        raise _invalid(request.request_id, f"`_meta` lacks {' and '.join(f'`{key}`' for key in missing)}")
    if mirrored:
        check_standard(request, meta, headers)
    version = meta[PROTOCOL_VERSION_KEY]
    if type(version) is not str or type(meta[CLIENT_CAPABILITIES_KEY]) is not dict:
        raise _invalid(
            request.request_id, "the protocol version or the capabilities in `_meta` have the wrong type"
        )
    if version not in STATELESS_VERSIONS:
        raise unsupported_version(version, request.request_id)


def unsupported_version(version: str, request_id: RequestId | None) -> Refusal:
    """-32022 with the versions that may be asked for instead."""
    reason = Reason(
        code=Code.UNSUPPORTED_VERSION,
        text="unsupported protocol version",
        remedy=f"use one of {', '.join(STATELESS_VERSIONS)}, or initialize",
    )
    data: Mapping[str, Any] = {"supported": list(STATELESS_VERSIONS), "requested": version}
    return Refusal(reason, status=400, rpc_code=UNSUPPORTED_VERSION, request_id=request_id, data=data)


def _invalid(request_id: RequestId, text: str) -> Refusal:
    return malformed(text, rpc_code=INVALID_PARAMS, request_id=request_id)
