"""Every door of an open house, and its pages, behind one listener."""

from __future__ import annotations

import asyncio
import os
from collections.abc import MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from toolward.adapters.stores.keys import write_durably
from toolward.bootstrap.assembly import House
from toolward.bootstrap.webhooks import incoming_of
from toolward.console.app import ROOT, Console, Rooms
from toolward.console.news import News
from toolward.doors.admin import AdminDoor
from toolward.doors.hooks import HooksDoor
from toolward.doors.mcp.boundary import HostGuard
from toolward.doors.mcp.channel import send_status
from toolward.doors.mcp.door import McpDoor
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.wire import Receive, Scope, Send
from toolward.errors import WardError
from toolward.governance.desk import invoke
from toolward.governance.links import Links

STATE_KEY: Final = "state.key"
"""Seals the `requestState` of the stateless era; beside the log's keys, and as private."""
_KEY_BYTES: Final = 32
_LISTEN: Final = (b"mcp-method", b"subscriptions/listen")


class Front:
    """ASGI application: the MCP door, the desk, the pages, and 404 for the rest. Made by `front_of`."""

    def __init__(self, mcp: McpDoor, admin: AdminDoor, console: Console, hooks: HooksDoor) -> None:
        self._mcp = mcp
        self._admin = admin
        self._console = console
        self._hooks = hooks
        self._closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request to the door that serves its path."""
        path = scope["path"]
        if self._mcp.serves(path):
            await self._mcp(scope, self._until_closing(receive) if _stands(scope) else receive, send)
        elif self._admin.serves(path):
            await self._admin(scope, receive, send)
        elif self._hooks.serves(path):
            await self._hooks(scope, receive, send)
        elif self._console.serves(path):
            await self._console(scope, self._until_closing(receive) if _stands(scope) else receive, send)
        else:
            await send_status(send, 404)

    def end_streams(self) -> None:
        """Streams that stand open without a call end now, so that a stop does not wait for them."""
        self._closing.set()

    async def close(self) -> None:
        """After the last request."""
        await self._mcp.close()

    def _until_closing(self, receive: Receive) -> Receive:
        """`receive` that also reports the caller gone once the daemon is stopping."""

        async def either() -> MutableMapping[str, Any]:
            event = asyncio.ensure_future(receive())
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                await asyncio.wait((event, closing), return_when=asyncio.FIRST_COMPLETED)
                return event.result() if event.done() else {"type": "http.disconnect"}
            finally:
                event.cancel()
                closing.cancel()

        return either


def front_of(house: House, *, loopback: bool, served_at: str) -> Front:
    """The doors of `house`. `loopback` says that every TCP listener is bound to this machine only.

    `served_at` is the listener's address, by which people reach the pages where the ward names no other.

    Raises `WardError` when the key that seals client state can be read by others.
    """
    config = house.ward.config
    house.served_at = served_at
    public = urlsplit(config.approvals.url)
    settings = McpDoorSettings(
        state_key=_state_key(house.ward.state / "keys" / STATE_KEY),
        loopback=loopback,
        allowed_hosts=frozenset({*config.allowed_hosts, *([public.hostname] if public.hostname else [])}),
        allowed_origins=frozenset(config.allowed_origins),
        approvals_url=f"{house.desk.url()}{ROOT}",
    )
    mcp = McpDoor(house.gateway, house.identity, clock=house.clock, ids=house.ids, settings=settings)
    admin = AdminDoor(house.desk, house.identity, settings=settings)
    guard = HostGuard(settings)
    console = _console(house, guard, secure=public.scheme == "https")
    return Front(mcp, admin, console, HooksDoor(incoming_of(house), house.gateway, guard))


def _console(house: House, guard: HostGuard, *, secure: bool) -> Console:
    parts = house.parts
    rooms = Rooms(
        ask=partial(invoke, house.desk),
        identity=house.identity,
        links=Links(house.store, parts.auditor, clock=house.clock, ids=house.ids),
        news=News(house.store, house.background),
        clock=house.clock,
        failed_sign_in=house.gateway.record_sign_in_failure,
        ward=house.ward.config.name,
        secure=secure,
    )
    return Console(rooms, guard)


def _stands(scope: Scope) -> bool:
    """Whether this request is a stream that ends only when somebody leaves."""
    return scope.get("method") == "GET" or _LISTEN in scope["headers"]


def _state_key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, os.urandom(_KEY_BYTES))
    if path.stat().st_mode & 0o077:
        raise WardError(
            "the key that seals client state can be read by other users",
            file=str(path),
            remedy=f"remove it; the next start makes a new one (`rm {path}`)",
        )
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise WardError(
            f"the key does not hold {_KEY_BYTES} bytes",
            file=str(path),
            remedy=f"remove it; the next start makes a new one (`rm {path}`)",
        )
    return key
