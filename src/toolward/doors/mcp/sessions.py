"""Handshake-era sessions as the door holds them: what the client declared, what runs, what was asked."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolward.doors.mcp.corridor import Corridor
from toolward.doors.mcp.event_log import STANDALONE, EventLog
from toolward.doors.mcp.messages import Answer
from toolward.doors.mcp.replies import dump
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.wire import Json, Refusal, RequestId
from toolward.errors import Reason
from toolward.errors import ReasonCode as Code
from toolward.model.principal import Principal
from toolward.ports.clock import Clock


@dataclass(slots=True, kw_only=True)
class McpSession:
    """One client's handshake. `wire_id` travels as `Mcp-Session-Id`, `session_id` is the gateway's."""

    wire_id: str
    session_id: str
    principal: Principal
    server: str
    version: str
    capabilities: Mapping[str, Any]
    log: EventLog
    owned: bool  # opened by this handshake, so it ends with it
    last_used_ns: int
    running: dict[RequestId, asyncio.Task[Any]] = field(default_factory=dict)
    questions: dict[str, asyncio.Future[Answer]] = field(default_factory=dict)
    cancelled: set[RequestId] = field(default_factory=set)
    asked: int = 0
    readers: int = 0
    standalone: object | None = None  # the newest reader of the stream that belongs to no call

    def next_question(self) -> tuple[str, asyncio.Future[Answer]]:
        """A fresh id for a question to the client, and where its answer will be."""
        self.asked += 1
        question = f"toolward-{self.asked}"
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.questions[question] = future
        return question, future

    def settle(self, answer: Answer) -> bool:
        """Give an answer to who waits for it; False if nobody asked that, or it was answered before."""
        future = self.questions.pop(str(answer.request_id), None) if type(answer.request_id) is str else None
        if future is None or future.done():
            return False
        future.set_result(answer)
        return True

    def heard(self, server: str, method: str, params: Mapping[str, Any]) -> None:
        """A notification that belongs to no call: kept for the standalone stream and for replay."""
        if self.server and server and self.server != server:
            return
        message: Json = {"jsonrpc": "2.0", "method": method}
        if params:
            message["params"] = params
        self.log.append(STANDALONE, dump(message))

    def end(self) -> None:
        """Nothing runs, waits or listens here any longer."""
        self.cancelled.update(self.running)
        for task in self.running.values():
            task.cancel()
        for question in tuple(self.questions):
            self.settle(Answer(question, None, {"message": "the session has ended"}))
        self.log.close()


class McpSessions:
    """All of them, bounded in number and idle time. Each belongs to one principal and one endpoint."""

    def __init__(self, gateway: Corridor, settings: McpDoorSettings, *, clock: Clock) -> None:
        self._gateway = gateway
        self._settings = settings
        self._clock = clock
        self._live: OrderedDict[str, McpSession] = OrderedDict()
        self._idle_ns = int(settings.session_idle_s * 1_000_000_000)

    async def add(self, session: McpSession) -> None:
        """Keep a new session; the ones idle for too long, and the oldest past the limit, end.

        Past the limit it is the newcomer's own that ends, if he has another: nobody can end, by opening many,
        the sessions of others and with them what is known of what they read.
        """
        self._live[session.wire_id] = session
        now = self._clock.monotonic_ns()
        while self._live:
            oldest = next(iter(self._live.values()))
            idle = now - oldest.last_used_ns > self._idle_ns and not oldest.running and not oldest.readers
            if not idle:
                if len(self._live) <= self._settings.sessions_max:
                    return
                mine = (each for each in self._live.values() if each.principal == session.principal)
                oldest = next(each for each in (*mine, oldest) if each is not session)
            await self.close(oldest)

    def find(self, wire_id: bytes | None, principal: Principal, server: str) -> McpSession:
        """The principal's session at this endpoint. Raises `Refusal`: 400 without an id, else 404."""
        if wire_id is None:
            raise Refusal(
                Reason(
                    code=Code.UNKNOWN_SESSION,
                    text="the request names no session",
                    remedy="initialize first, and send `Mcp-Session-Id`",
                ),
                status=400,
            )
        session = self._live.get(wire_id.decode("latin-1"))
        now = self._clock.monotonic_ns()
        if session is not None and session.principal == principal and session.server == server:
            busy = session.running or session.readers
            if busy or now - session.last_used_ns <= self._idle_ns:
                session.last_used_ns = now
                self._live.move_to_end(session.wire_id)
                return session
        # the same answer for unknown, ended and somebody else's: an id tells nothing about other callers
        raise Refusal(
            Reason(
                code=Code.UNKNOWN_SESSION, text="no such session for this caller", remedy="initialize again"
            ),
            status=404,
        )

    async def close(self, session: McpSession) -> None:
        """End it here and, if it was opened by its handshake, in the gateway."""
        self._live.pop(session.wire_id, None)
        session.end()
        self._gateway.notices.detach(session.session_id, session.heard)
        if session.owned:
            await self._gateway.close_session(session.session_id)
