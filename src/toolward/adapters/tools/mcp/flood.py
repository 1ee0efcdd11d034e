"""How much a server may say that nobody asked for."""

from __future__ import annotations

import asyncio

from toolward.adapters.tools.mcp.bounds import UNSOLICITED_BURST_MAX, UNSOLICITED_PER_S_MAX


class Bucket:
    """A token bucket: a burst at once, then a steady rate."""

    __slots__ = ("_left", "_then")

    def __init__(self) -> None:
        self._left = float(UNSOLICITED_BURST_MAX)
        self._then = asyncio.get_running_loop().time()

    def take(self) -> bool:
        """Take one message; False when there have been too many."""
        now = asyncio.get_running_loop().time()
        grown = self._left + (now - self._then) * UNSOLICITED_PER_S_MAX
        self._left = min(float(UNSOLICITED_BURST_MAX), grown) - 1
        self._then = now
        return self._left >= 0
