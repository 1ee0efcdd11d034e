"""Decide again: when what a call stood on changed while it was being promised, and when an answer came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from toolward.errors import Contested, Pending
from toolward.kernel.approvals.approvals import Approvals
from toolward.model.call import Call, Reply
from toolward.ports.upstream import Exchange

TRIES_MAX: Final = 8
"""Each time somebody else got further, so the system as a whole does; past this the caller is told."""


async def again(
    walk: Callable[[Call, Exchange], Awaitable[Reply]], call: Call, exchange: Exchange, approvals: Approvals
) -> Reply:
    """Walk from resolve on until it is not contested, and while the caller has patience for people to answer.

    Raises what `walk` raises.
    """
    until, tries = 0.0, 1
    while True:
        try:
            return await walk(call, exchange)
        except Contested:
            if tries >= TRIES_MAX:
                raise
            tries += 1
        except Pending as pending:
            now = asyncio.get_running_loop().time()
            until = until or now + exchange.patience_s
            approval, left_s = pending.approval, until - now
            if not approval or left_s <= 0 or not await approvals.wait(approval, exchange, left_s):
                raise
