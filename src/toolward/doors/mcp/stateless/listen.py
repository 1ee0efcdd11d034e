"""`subscriptions/listen`: the stateless era's stream of notifications, opened and ended by one request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from toolward.doors.mcp.channel import Channel, disconnected, event_frame
from toolward.doors.mcp.exchange import StatelessExchange
from toolward.doors.mcp.messages import Request
from toolward.doors.mcp.replies import dump
from toolward.doors.mcp.visit import Shared, Visit
from toolward.doors.mcp.wire import INVALID_PARAMS, SUBSCRIPTION_ID_KEY, Json, malformed
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Era

_FLAGS = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}
_UPDATED = "notifications/resources/updated"
_URIS_MAX = 256


class Listening:
    """One stream. The acknowledgement is its first message, and nothing comes that was not asked for."""

    def __init__(self, shared: Shared, visit: Visit, request: Request, session_id: str) -> None:
        self._shared = shared
        self._visit = visit
        self._request = request
        self._session_id = session_id
        self._channel = Channel(visit.send, may_stream=True)
        self._waiting: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._overrun = False
        self._flags, self._uris = _filter(request)
        self._subscribed: list[str] = []

    async def run(self) -> None:
        """Until the caller has gone or is too slow. Raises `Refusal` for a malformed filter."""
        notices = self._shared.gateway.notices
        gone = self._shared.background.start(self._wait_until_gone())
        notices.attach(self._session_id, self._heard)
        try:
            for uri in self._uris:
                if await self._act(Action.SUBSCRIBE, uri):
                    self._subscribed.append(uri)
            await self._channel.write(self._frame("notifications/subscriptions/acknowledged", self._agreed()))
            while not gone.done() and not self._overrun:
                await self._say_what_came()
            if not gone.done():
                result = {"_meta": {SUBSCRIPTION_ID_KEY: self._request.request_id}, "resultType": "complete"}
                await self._channel.answer(
                    200, {"jsonrpc": "2.0", "id": self._request.request_id, "result": result}
                )
        finally:
            gone.cancel()
            notices.detach(self._session_id, self._heard)
            for uri in self._subscribed:
                await self._act(Action.UNSUBSCRIBE, uri)

    async def _say_what_came(self) -> None:
        if not self._waiting:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._shared.settings.keepalive_s):
                    await self._changed.wait()
            except TimeoutError:
                await self._channel.write(b": still here\n\n")
        while self._waiting:
            await self._channel.write(self._waiting.popleft())

    def _heard(self, server: str, method: str, params: Mapping[str, Any]) -> None:
        if self._visit.server and server and self._visit.server != server:
            return
        wanted = (
            params.get("uri") in self._subscribed if method == _UPDATED else _FLAGS.get(method) in self._flags
        )
        if not wanted:
            return
        if len(self._waiting) >= self._shared.settings.backlog_max:
            self._overrun = True  # ending the stream loses nothing: the client listens and fetches again
        else:
            self._waiting.append(self._frame(method, params))
        self._changed.set()

    async def _act(self, action: Action, uri: str) -> bool:
        """Subscribing is an action like any other: it walks the corridor. True if it was done."""
        attempt = Attempt(
            principal=self._visit.principal,
            session_id=self._session_id,
            action=action,
            params={"uri": uri, "_meta": self._request.params["_meta"]},
            server=self._visit.server,
            era=Era.STATELESS,
            door=self._visit.door,
        )
        exchange = StatelessExchange(
            Channel(self._visit.send, may_stream=False), self._request, self._shared.settings, patience_s=0
        )
        return (await self._shared.gateway.perform(attempt, exchange)).error is None

    def _agreed(self) -> Json:
        agreed: Json = {flag: True for flag in _FLAGS.values() if flag in self._flags}
        if self._subscribed:
            agreed["resourceSubscriptions"] = list(self._subscribed)
        return {"notifications": agreed}

    def _frame(self, method: str, params: Mapping[str, Any]) -> bytes:
        meta = dict(params.get("_meta") or {})
        meta[SUBSCRIPTION_ID_KEY] = self._request.request_id
        message: Json = {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}
        return event_frame(dump(message))

    async def _wait_until_gone(self) -> None:
        await disconnected(self._visit.receive)
        asyncio.get_running_loop().call_soon(self._changed.set)


def _filter(request: Request) -> tuple[frozenset[str], tuple[str, ...]]:
    wanted = request.params.get("notifications")
    uris = wanted.get("resourceSubscriptions", []) if type(wanted) is dict else None
    if type(wanted) is not dict or type(uris) is not list or len(uris) > _URIS_MAX:
        raise _bad_filter(request)
    if not all(type(uri) is str for uri in uris):
        raise _bad_filter(request)
    flags = frozenset(flag for flag in _FLAGS.values() if wanted.get(flag) is True)
    return flags, tuple(dict.fromkeys(uris))


def _bad_filter(request: Request) -> Exception:
    return malformed(
        f"`notifications` is no filter, or names more than {_URIS_MAX} resources",
        rpc_code=INVALID_PARAMS,
        request_id=request.request_id,
    )
