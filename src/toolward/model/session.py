"""One run of an agent toward one objective: the scope of taint, savepoints and rollback."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from toolward.model.label import CLEAN, Label
from toolward.model.principal import Principal


class SessionOrigin(StrEnum):
    """How the session was identified, in the order in which the ways are tried."""

    HANDLE = "handle"  # minted by the gateway when the authenticated host opened it
    MCP_SESSION = "mcp_session"  # the 2025 era's Mcp-Session-Id
    STDIO = "stdio"  # one connection, one session
    IDLE = "idle"  # (credential, client instance) until it was idle too long


UNTRUSTED_NAMED_MAX = 16
"""Calls that are named one by one as what tainted a session."""
MANY = "*"
"""More calls than that brought untrusted content: no endorsement of single ones makes the session clean."""


class Savepoint(Struct, frozen=True, kw_only=True):
    """A place in the log to which a session can be rolled back."""

    name: str
    log_index: int


class StepRun(Struct, frozen=True, kw_only=True):
    """What a session did in one step of its objective so far, all its visits together."""

    name: str
    entered_ns: int  # for the first time
    calls: int = 0  # that were let through, those in flight included
    written: int = 0
    bytes_out: int = 0  # of the arguments of calls that may carry data out


class Session(Struct, frozen=True, kw_only=True):
    """The session as the store holds it; `version` counts its commits for compare-and-swap."""

    session_id: str
    principal: Principal
    origin: SessionOrigin
    objective: str = ""  # the name of a declared one, or the host's own words
    step: str = ""  # of a declared objective; never empty there
    runs: tuple[StepRun, ...] = ()  # in the order in which the steps were entered first
    ended: str = ""  # how the objective ended: `reached`, `failed`
    prompt: str = ""
    plan: str = ""  # what the agent declared before it read anything untrusted
    taint: Label = CLEAN
    untrusted: tuple[str, ...] = ()  # the calls that brought untrusted content, `MANY` when too many to name
    calls: int = 0  # that were let through, those in flight included; lists do not count
    written: int = 0  # of those, the ones with an effect
    savepoints: tuple[Savepoint, ...] = ()
    opened_ns: int
    last_used_ns: int
