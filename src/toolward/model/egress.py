"""Where executions may connect to, and how a connection that was refused or ended is named."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """One destination that may be reached. `rules.egress.destination.parse_grant` makes them from text.

    `host` is a name in lower case, `*.` before a name for one or more labels below it, or an IP address in
    its canonical form. `unsafe_private` lets this very host lead to private, shared and loopback addresses,
    so never for a wildcard; link-local and metadata addresses can not be granted at all.
    """

    host: str
    port: int
    unsafe_private: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """Host and port as they were asked for, in canonical form. `literal`: the host is an IP address."""

    host: str
    port: int
    literal: bool = False

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Whose:
    """For whom a connection is made.

    `session_id` where the server has a process of its own for each session, `call_id` where the tool runs
    per call.
    """

    server: str
    session_id: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class RefusedDestination:
    """A connection that a cage asked for in vain. `text` is empty where it may be another session's."""

    text: str
    code: EgressCode


class EgressCode(StrEnum):
    """Stable codes of what became of a connection. A code never changes its meaning."""

    OK = "ok"
    MALFORMED = "egress_malformed"  # not a request that every reader reads alike
    BAD_HOST = "egress_bad_host"  # a spelling of a host on which readers differ
    NOT_GRANTED = "egress_denied"
    FORBIDDEN_ADDRESS = "egress_forbidden_address"  # the name leads to where nothing may connect
    UNRESOLVED = "egress_unresolved"
    UNREACHABLE = "egress_unreachable"
    NAME_MISMATCH = "egress_name_mismatch"  # the TLS client asks for another server than it was granted
    NOT_TLS = "egress_not_tls"
    OVER_BUDGET = "egress_over_budget"
    TIMED_OUT = "egress_timed_out"
    OVERLOADED = "egress_overloaded"
    UNRECORDED = "egress_unrecorded"  # what was decided could not be written down, so nothing was done
    CLOSED = "egress_closed"  # what it belonged to ended first
    BROKEN = "egress_broken"  # the proxy's own fault


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not. Texts are lower case without a full stop, and hold nothing that was sent but host and port."""

    code: EgressCode
    text: str
    remedy: str = ""

    def sentence(self) -> str:
        """Code, text and remedy in one line."""
        return f"{self.code}: {self.text}; {self.remedy}" if self.remedy else f"{self.code}: {self.text}"
