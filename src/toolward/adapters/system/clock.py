"""The machine's clocks, and one that a test moves by hand."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass


class SystemClock:
    """`ports.clock.Clock` on the operating system."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class VirtualClock:
    """`ports.clock.Clock` that stands still until it is moved."""

    utc_ns: int = 1_790_000_000_000_000_000
    steady_ns: int = 0

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        return self.utc_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        return self.steady_ns

    async def sleep(self, seconds: float) -> None:
        """Move on by itself: whoever waits has waited."""
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        step = int(seconds * 1_000_000_000)
        self.utc_ns += step
        self.steady_ns += step
