"""Which tools nobody can reach, uses or has looked at for too long. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_HOUR_NS: Final = 3_600 * 1_000_000_000
_DAY_NS: Final = 24 * _HOUR_NS


class Stale(StrEnum):
    """Why a tool is stale."""

    UNREACHABLE = "unreachable"  # its server can not be described
    UNLISTED = "unlisted"  # its server does not offer it any more
    UNUSED = "unused"
    REVIEW_OVERDUE = "review_overdue"  # the day in its manifest has passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """From when on: hours without an answer or a listing, days without a call."""

    unreachable_h: int
    unused_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What is known of a served tool; UTC nanoseconds, 0 for never and not."""

    served_ns: int  # since when its version is served
    used_ns: int
    away_ns: int  # since when its server can not be described
    gone_ns: int  # since when it is not listed
    overdue_days: int  # since the review date of its manifest; 0 or less: not yet, or none is set


def stale(traces: Traces, bounds: Bounds, now_ns: int) -> Iterator[tuple[Stale, str]]:
    """Each reason, with how long in words."""
    for kind, since in ((Stale.UNREACHABLE, traces.away_ns), (Stale.UNLISTED, traces.gone_ns)):
        if since and now_ns - since >= bounds.unreachable_h * _HOUR_NS:
            yield kind, f"for {(now_ns - since) // _HOUR_NS} hours"
    idle_ns = now_ns - max(traces.used_ns, traces.served_ns)
    if idle_ns >= bounds.unused_days * _DAY_NS:
        yield Stale.UNUSED, f"for {idle_ns // _DAY_NS} days"
    if traces.overdue_days > 0:
        yield Stale.REVIEW_OVERDUE, f"by {traces.overdue_days} days"
