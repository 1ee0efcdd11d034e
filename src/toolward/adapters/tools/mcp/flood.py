"""How much a server may say, and how fast."""

from __future__ import annotations

import asyncio

from toolward.adapters.tools.mcp.bounds import LONG_BYTES, WEIGHT_MAX


def weight_of(size: int) -> int:
    """How many messages one of `size` bytes counts as: reading a long one costs as much as reading many."""
    return min(1 + size // LONG_BYTES, WEIGHT_MAX)


class Bucket:
    """A token bucket: a burst at once, then a steady rate."""

    __slots__ = ("_burst", "_left", "_per_s", "_then")

    def __init__(self, burst: int, per_s: int) -> None:
        self._burst = float(burst)
        self._per_s = per_s
        self._left = self._burst
        self._then = asyncio.get_running_loop().time()

    def take(self, count: int = 1) -> bool:
        """Take so many; False when there have been too many."""
        now = asyncio.get_running_loop().time()
        grown = self._left + (now - self._then) * self._per_s
        self._left = min(self._burst, grown) - count
        self._then = now
        return self._left >= 0

    def debt_s(self, count: int = 1) -> float:
        """Take so many; how long to take no more until that is paid for."""
        return 0.0 if self.take(count) else -self._left / self._per_s
