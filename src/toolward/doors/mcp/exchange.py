"""The caller's side of a running call, for each era: how interim messages reach the client."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from toolward.doors.mcp.asking import ELICIT, ELICITED, page_of, patience, takes_url, url_elicitation
from toolward.doors.mcp.channel import Channel, disconnected, event_frame
from toolward.doors.mcp.messages import Answer, Request
from toolward.doors.mcp.replies import dump
from toolward.doors.mcp.sessions import McpSession
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.visit import Shared, Visit
from toolward.doors.mcp.wire import (
    CAPABILITY_OF,
    CLIENT_CAPABILITIES_KEY,
    LOG_LEVEL_KEY,
    LOG_LEVELS,
    PRIMING_VERSION,
    Json,
)
from toolward.errors import Denied
from toolward.errors import ReasonCode as Code
from toolward.model.call import Era
from toolward.ports.upstream import Exchange

PROGRESS = "notifications/progress"
LOG = "notifications/message"


class HandshakeExchange(Exchange):
    """Interim messages go on the call's own stream, with ids so that it can be resumed."""

    __slots__ = (
        "_channel",
        "_patience_s",
        "_receive",
        "_sent_to",
        "_session",
        "_settings",
        "_shared",
        "_stream",
        "_token",
    )

    def __init__(
        self, session: McpSession, channel: Channel, request: Request, *, visit: Visit, shared: Shared
    ) -> None:
        self._session = session
        self._channel = channel
        self._receive = visit.receive
        self._shared = shared
        self._settings = shared.settings
        self._stream = 0
        self._token = progress_token(request)
        self._patience_s = patience(visit.headers, shared.settings.approval_hold_s)
        self._sent_to = ""  # the approval to whose page the client was sent

    @property
    @override
    def era(self) -> Era:
        """The 2025 era."""
        return Era.HANDSHAKE

    @property
    @override
    def capabilities(self) -> Mapping[str, Any]:
        """As declared at initialize."""
        return self._session.capabilities

    @property
    @override
    def patience_s(self) -> float:
        """As long as the door holds a call."""
        return self._patience_s

    @override
    async def waits(self, approval: str, reason: str) -> None:
        """Progress if the client wants some; its user is sent to the page if it can do that."""
        page = page_of(approval, self._settings.approvals_url)
        saying = self._shared.background.start(still_waiting(self, self._settings, page))
        try:
            if page and takes_url(self._session.capabilities):
                self._sent_to = approval
                with contextlib.suppress(Denied):  # whoever declines may still be answered by another
                    await self.request(ELICIT, url_elicitation(approval, reason, page, with_id=True))
            await asyncio.wait((saying,))
        finally:
            saying.cancel()

    @override
    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Opens the stream if need be; a client that accepts no stream misses the notification."""
        shown = for_this_call(method, params, self._token)
        if shown is not None and self._channel.may_stream:
            await self._emit({"jsonrpc": "2.0", "method": method, "params": shown})

    @override
    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask on the call's stream; the answer comes by another POST of the same session."""
        session = self._session
        if not is_declared(method, params, session.capabilities) or not self._channel.may_stream:
            raise not_accepted(method)
        if len(session.questions) >= self._settings.questions_max:
            raise Denied("too many questions wait for the client at once", code=Code.OVERLOADED)
        question, future = session.next_question()
        watch = self._shared.background.start(self._watch(question))
        try:
            async with asyncio.timeout(self._settings.client_answer_s):
                message: Json = {"jsonrpc": "2.0", "id": question, "method": method}
                if params:
                    message["params"] = params
                await self._emit(message)
                answer = await future
        except TimeoutError as error:
            raise Denied(
                f"the client did not answer `{method}`",
                code=Code.TIMED_OUT,
                remedy="try again with the client there",
            ) from error
        finally:
            watch.cancel()
            session.questions.pop(question, None)
        return _result_of(method, answer)

    async def _watch(self, question: str) -> None:
        """Answer for a client that has gone, unless it came back to read on another stream."""
        await disconnected(self._receive)
        if not self._session.readers:
            self._session.settle(Answer(question, None, {"message": "the client has gone"}))

    async def finish(self, message: Json, *, waits: bool = False) -> None:
        """The last message: JSON if nothing was said before, else the stream's last event.

        Unless the call `waits` still, the page that its user was sent to has done its work.
        """
        if self._sent_to and not waits and self._channel.streaming:
            params = {"elicitationId": self._sent_to}
            await self._emit({"jsonrpc": "2.0", "method": ELICITED, "params": params})
        if not self._channel.streaming:
            await self._channel.answer(200, message)
            return
        await self._emit(message)
        self._session.log.close_stream(self._stream)
        await self._channel.end()

    async def _emit(self, message: Json) -> None:
        opening = b""
        if not self._stream:
            self._stream = self._session.log.new_stream()
            if self._session.version == PRIMING_VERSION:
                opening = f"id: {self._stream}-0\nretry: {self._settings.retry_ms}\ndata: \n\n".encode()
        await self._channel.write(self._session.log.append(self._stream, dump(message)), opening)


class StatelessExchange(Exchange):
    """Notifications go on the response's stream; there are no requests to the client in this era."""

    __slots__ = ("_capabilities", "_channel", "_level", "_patience_s", "_settings", "_token")

    def __init__(
        self, channel: Channel, request: Request, settings: McpDoorSettings, *, patience_s: float
    ) -> None:
        self._settings = settings
        self._patience_s = patience_s
        meta = request.params["_meta"]
        self._channel = channel
        self._capabilities: Mapping[str, Any] = meta[CLIENT_CAPABILITIES_KEY]
        self._token = progress_token(request)
        level = meta.get(LOG_LEVEL_KEY)
        self._level = LOG_LEVELS.index(level) if level in LOG_LEVELS else None

    @property
    @override
    def era(self) -> Era:
        """The 2026 era."""
        return Era.STATELESS

    @property
    @override
    def capabilities(self) -> Mapping[str, Any]:
        """As declared with this request."""
        return self._capabilities

    @property
    @override
    def patience_s(self) -> float:
        """As whoever made it decided: nobody waits who can be sent to the page at once."""
        return self._patience_s

    @override
    async def waits(self, approval: str, reason: str) -> None:
        """Progress, if the client wants some."""
        await still_waiting(self, self._settings, page_of(approval, self._settings.approvals_url))

    @override
    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Log messages only from the level that the request asked for, none if it asked for none."""
        shown = for_this_call(method, params, self._token)
        if shown is None or not self._channel.may_stream or (method == LOG and not self._wants(shown)):
            return
        message: Json = {"jsonrpc": "2.0", "method": method, "params": shown}
        await self._channel.write(event_frame(dump(message)))

    @override
    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Always denied: in this era a server asks by answering `input_required`."""
        raise not_accepted(method)

    def _wants(self, params: Mapping[str, Any]) -> bool:
        level = params.get("level")
        return self._level is not None and level in LOG_LEVELS and LOG_LEVELS.index(level) >= self._level


async def still_waiting(exchange: Exchange, settings: McpDoorSettings, page: str) -> None:
    """Tell the caller every few seconds that its call is held, until cancelled."""
    text = f"waiting for a person's answer at {page}" if page else "waiting for a person's answer"
    for step in itertools.count(1):
        await exchange.notify(PROGRESS, {"progress": step, "message": text})
        await asyncio.sleep(settings.approval_progress_s)


def progress_token(request: Request) -> str | int | None:
    """The caller's progress token, if it wants progress."""
    meta = request.params.get("_meta")
    token = meta.get("progressToken") if meta else None
    return token if isinstance(token, (str, int)) and not isinstance(token, bool) else None


def for_this_call(
    method: str, params: Mapping[str, Any], token: str | int | None
) -> Mapping[str, Any] | None:
    """The notification's params as this caller should see them, or None if it asked for no progress.

    Progress always carries the caller's own token, whatever the upstream wrote there.
    """
    if method != PROGRESS:
        return params
    return None if token is None else {**params, "progressToken": token}


def is_declared(method: str, params: Mapping[str, Any], capabilities: Mapping[str, Any]) -> bool:
    """Whether the client declared that it can be asked this."""
    capability = CAPABILITY_OF.get(method)
    if capability is None or not isinstance(capabilities.get(capability), Mapping):
        return False
    if method == "elicitation/create" and params.get("mode", "form") == "url":
        return isinstance(capabilities["elicitation"].get("url"), Mapping)
    return True


def not_accepted(method: str) -> Denied:
    """The client can not be asked this."""
    return Denied(
        f"the client did not declare that it answers `{method}`",
        code=Code.REQUEST_NOT_ACCEPTED,
        remedy="use a client that declares it, or a tool that does not ask",
    )


def _result_of(method: str, answer: Answer) -> Mapping[str, Any]:
    if answer.result is not None:
        return answer.result
    error = answer.error or {}
    raise Denied(
        f"the client refused `{method}`: {str(error.get('message', ''))[:500]}",
        code=Code.REQUEST_NOT_ACCEPTED,
        details=(("rpc_code", str(error.get("code", ""))),),
    )
