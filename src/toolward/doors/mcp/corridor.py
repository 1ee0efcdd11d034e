"""What the door needs of the kernel, so that it can be tested without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from toolward.errors import Reason
from toolward.kernel.attempt import Attempt
from toolward.model.call import Reply
from toolward.model.principal import Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import ToolVersion
from toolward.ports.upstream import Exchange, ServerDescription

Listener = Callable[[str, str, Mapping[str, Any]], None]
"""Called with server, method, params. Must not block and must not raise."""


class NoticeBoard(Protocol):
    """Where notifications that belong to no call arrive."""

    def attach(self, session_id: str, listener: Listener) -> None:
        """Deliver this session's notifications to `listener` from now on."""
        ...

    def detach(self, session_id: str, listener: Listener | None = None) -> None:
        """Stop delivering to `listener`, or to all of the session's."""
        ...


class Corridor(Protocol):
    """The gateway as a door sees it."""

    @property
    def notices(self) -> NoticeBoard:
        """Notifications for sessions."""
        ...

    async def perform(self, attempt: Attempt, exchange: Exchange) -> Reply:
        """Walk the whole corridor. Denials are answers, not exceptions. May be cancelled."""
        ...

    async def open_session(
        self,
        principal: Principal,
        origin: SessionOrigin,
        *,
        session_id: str = "",
        objective: str = "",
        prompt: str = "",
    ) -> Session:
        """Open a session and record it. Raises `GatewayError`."""
        ...

    def session(self, session_id: str, principal: Principal) -> Session:
        """The session if it is the principal's. Raises `Rejected` (`unknown_session`)."""
        ...

    async def idle_session(self, principal: Principal, client_instance: str) -> Session:
        """The session of this credential and client until it was idle too long."""
        ...

    async def close_session(self, session_id: str) -> None:
        """Stop what runs for that session only."""
        ...

    async def describe(self, server: str) -> ServerDescription:
        """What initialize and discover answer. Raises `UnknownTool` for an unknown server."""
        ...

    def tool_version(self, server: str, name: str, principal: Principal) -> ToolVersion | None:
        """What that caller is served now under a name of that endpoint, or None."""
        ...

    async def record_unreadable(
        self, principal: Principal, reason: Reason, *, server: str, door: str
    ) -> None:
        """Record that a known caller's request never became a call. Raises `AuditUnavailable`."""
        ...

    async def record_sign_in_failure(self, reason: Reason, door: str) -> None:
        """Record that somebody could not prove who it is."""
        ...
