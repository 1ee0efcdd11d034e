"""One HTTP request that has passed the boundary, and what all parts of the door share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from toolward.doors.mcp.boundary import Headers
from toolward.doors.mcp.corridor import Corridor
from toolward.doors.mcp.sealing import StateSealer
from toolward.doors.mcp.sessions import McpSessions
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.wire import Receive, Send, malformed
from toolward.kernel.tasks import Background
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.upstream import ServerDescription

SESSION_META: Final = "dev.toolward/session"
"""In `_meta`, as the header `X-Toolward-Session`: the handle of a session that the host had opened."""


class Visit(Struct, frozen=True):
    """Who asks, at which endpoint, and how to answer."""

    headers: Headers
    receive: Receive
    send: Send
    server: str  # "" at the aggregated endpoint
    principal: Principal
    client: str  # what tells one client instance from another, as the transport sees it
    connection: str  # id of the stdio connection that is bridged, "" otherwise

    @property
    def door(self) -> str:
        """As recorded."""
        return "stdio" if self.connection else "http"

    def handle(self, params: Mapping[str, Any]) -> str:
        """A session handle that the host sends along, in a header or in the `_meta` of a request; "" if none.

        Raises `Refusal` where both are there and are not the same, or the one in `_meta` is no text.
        """
        header = self.headers.get(b"x-toolward-session", b"").decode("latin-1")
        meta = params.get("_meta")
        said = meta.get(SESSION_META, header) if type(meta) is dict else header
        if said is not header and (type(said) is not str or (header and said != header)):
            raise malformed(
                f"`{SESSION_META}` is no text, or not the session that the header names",
                remedy="name the session once",
            )
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What both eras use."""

    gateway: Corridor
    clock: Clock
    ids: Ids
    settings: McpDoorSettings
    sessions: McpSessions
    sealer: StateSealer
    background: Background

    async def server_info(self, server: str) -> Mapping[str, Any]:
        """The upstream's own at its endpoint, ours at the aggregated one."""
        info = (await self.gateway.describe(server)).info if server else None
        return info or self.settings.server_info


def served_capabilities(described: ServerDescription) -> dict[str, Any]:
    """Those of the server's capabilities that this door serves; unknown ones are not promised."""
    return {name: described.capabilities[name] for name in _SERVED if name in described.capabilities}


_SERVED = ("tools", "resources", "prompts", "completions", "logging")
