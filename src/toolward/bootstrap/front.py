"""Every door of an open house behind one listener."""

from __future__ import annotations

import asyncio
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from toolward.adapters.stores.keys import write_durably
from toolward.bootstrap.assembly import House
from toolward.doors.admin import AdminDoor
from toolward.doors.mcp.channel import send_status
from toolward.doors.mcp.door import McpDoor
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.wire import Receive, Scope, Send
from toolward.errors import WardError

STATE_KEY: Final = "state.key"
"""Seals the `requestState` of the stateless era; beside the log's keys, and as private."""
_KEY_BYTES: Final = 32
_LISTEN: Final = (b"mcp-method", b"subscriptions/listen")


class Front:
    """ASGI application: the MCP door, the desk, and 404 for the rest. Made by `front_of`."""

    def __init__(self, mcp: McpDoor, admin: AdminDoor) -> None:
        self._mcp = mcp
        self._admin = admin
        self._closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request to the door that serves its path."""
        path = scope["path"]
        if self._mcp.serves(path):
            await self._mcp(scope, self._until_closing(receive) if _stands(scope) else receive, send)
        elif self._admin.serves(path):
            await self._admin(scope, receive, send)
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


def front_of(house: House, *, loopback: bool) -> Front:
    """The doors of `house`. `loopback` says that every TCP listener is bound to this machine only.

    Raises `WardError` when the key that seals client state can be read by others.
    """
    config = house.ward.config
    settings = McpDoorSettings(
        state_key=_state_key(house.ward.state / "keys" / STATE_KEY),
        loopback=loopback,
        allowed_hosts=frozenset(config.allowed_hosts),
        allowed_origins=frozenset(config.allowed_origins),
    )
    mcp = McpDoor(house.gateway, house.identity, clock=house.clock, ids=house.ids, settings=settings)
    return Front(mcp, AdminDoor(house.desk, house.identity, settings=settings))


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
