"""Time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks. MUST NOT be called from `model` or `rules`."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch. May jump; used for what people read."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back within the process. Used for every duration and deadline."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until so much has passed on the monotonic clock."""
        ...
