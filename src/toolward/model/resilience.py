"""How much is borne of a server and of a tool before the gateway steps back. Outside every digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one server, or of one tool."""

    failures: int  # in a row, that open its circuit
    failed_percent: int  # of the last `CALLS_JUDGED` calls, that open it too
    open_s: int  # how long it stays open the first time
    open_max_s: int  # and at most
    in_flight: int  # calls at a time
    queue: int  # that may wait for one of those places
    queue_wait_ms: int  # and for how long
    retries: int  # of one call, where its effect allows any
    retry_percent: int  # of all calls of a server


@dataclass(frozen=True, slots=True, kw_only=True)
class ResilienceSettings:
    """What the ward says. Keys are `server` and `server/tool`."""

    server: Limits
    tool: Limits
    own: Mapping[str, Limits] = field(default_factory=dict)  # where something else holds
    fallbacks: Mapping[str, str] = field(default_factory=dict)  # tool -> the tool that may stand in
    lag_max_ms: int = 500  # of the gateway itself: past this calls are shed

    def of(self, key: str) -> Limits:
        """The limits of a server or a tool."""
        return self.own.get(key) or (self.tool if "/" in key else self.server)


class Phase(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"  # one call is on trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What is remembered of the last calls, and what follows from it. Times are monotonic nanoseconds."""

    outcomes: int = 0  # one bit for each of the last calls, the newest lowest; 1 is a failure
    phase: Phase = Phase.CLOSED
    until_ns: int = 0  # while open
    opened: int = 0  # how often of late: each time it stays open longer
    closed_ns: int = 0  # when it was last closed
