"""Decide again: when what a call stood on changed while it was being promised, and when an answer came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from toolward.errors import Contested
from toolward.model.call import Call, Reply
from toolward.ports.upstream import Exchange

TRIES_MAX: Final = 8
"""Each time somebody else got further, so the system as a whole does; past this the caller is told."""


async def again(walk: Callable[[Call, Exchange], Awaitable[Reply]], call: Call, exchange: Exchange) -> Reply:
    """Walk from resolve on until it is not contested. Raises what `walk` raises."""
    for _ in range(TRIES_MAX - 1):
        try:
            return await walk(call, exchange)
        except Contested:
            continue
    return await walk(call, exchange)
