"""Sessions of stateless clients behind the stdio bridge: one connection, one session."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from toolward.doors.mcp.visit import Shared, Visit
from toolward.model.session import SessionOrigin

_Key = tuple[str, str, str]


class StdioSessions:
    """Bounded; the connection id counts only together with the credential that showed it."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._known: OrderedDict[_Key, str] = OrderedDict()
        self._opening = asyncio.Lock()

    async def session_id(self, visit: Visit) -> str:
        """The connection's session, opened with its first request."""
        key = _key(visit)
        known = self._known.get(key)
        if known is not None:
            return known
        async with self._opening:
            known = self._known.get(key)
            if known is None:
                session = await self._shared.gateway.open_session(visit.principal, SessionOrigin.STDIO)
                known = self._known[key] = session.session_id
            if len(self._known) > self._shared.settings.sessions_max:
                # the newcomer's own oldest, as in `McpSessions.add`
                oldest = next((each for each in self._known if each[:2] == key[:2] and each != key), None)
                await self._shared.gateway.close_session(self._known.pop(oldest or next(iter(self._known))))
        return known

    async def end(self, visit: Visit) -> None:
        """The connection was closed."""
        known = self._known.pop(_key(visit), None)
        if known is not None:
            await self._shared.gateway.close_session(known)


def _key(visit: Visit) -> _Key:
    return (visit.principal.credential, visit.principal.user, visit.connection)
