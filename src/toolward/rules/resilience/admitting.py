"""How many calls the gateway takes on while its own loop is late: fewer, then slowly more again."""

from __future__ import annotations

from typing import Final

LEAST: Final = 16
"""Calls in flight that are always taken on: below this a late loop has other causes."""


def next_limit(limit: int, *, most: int, in_flight: int, late: bool) -> int:
    """The limit on calls in flight for the next moment: three quarters of what is there, or more again."""
    if late:
        return max(LEAST, min(limit, in_flight) * 3 // 4)
    return min(most, limit + max(1, limit // 8))
