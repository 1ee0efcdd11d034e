"""One run of an agent toward one objective: the scope of taint, savepoints and rollback."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from toolward.model.label import CLEAN, Label
from toolward.model.principal import Principal


class SessionOrigin(StrEnum):
    """How the session was identified, in the order in which the ways are tried."""

    HANDLE = "handle"  # minted by the gateway when the authenticated host opened it
    MCP_SESSION = "mcp_session"  # the 2025 era's Mcp-Session-Id
    STDIO = "stdio"  # one connection, one session
    IDLE = "idle"  # (credential, client instance) until it was idle too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Savepoint:
    """A place in the log to which a session can be rolled back."""

    name: str
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The session as the store holds it; `version` counts its commits for compare-and-swap."""

    session_id: str
    principal: Principal
    origin: SessionOrigin
    objective: str = ""
    prompt: str = ""
    taint: Label = CLEAN
    calls: int = 0
    savepoints: tuple[Savepoint, ...] = ()
    opened_ns: int
    last_used_ns: int
