"""How many calls may be in flight: all together, and of one caller, so that a busy one leaves room."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from toolward.config.limits import CALLS_IN_FLIGHT_EACH_MAX, CALLS_IN_FLIGHT_MAX
from toolward.errors import Overloaded


class Room:
    """Counts calls; refuses at once rather than queueing without bound."""

    def __init__(self) -> None:
        self._all = 0
        self._of: Counter[str] = Counter()
        self._emptied: asyncio.Event | None = None

    @contextmanager
    def taken_by(self, credential: str, *, reserved: bool = False) -> Iterator[None]:
        """One call's place. Raises `Overloaded`, but not for what has its place `reserved`: undo."""
        if reserved:
            pass
        elif self._all >= CALLS_IN_FLIGHT_MAX:
            raise _full(f"{CALLS_IN_FLIGHT_MAX} calls")
        elif self._of[credential] >= CALLS_IN_FLIGHT_EACH_MAX:
            raise _full(f"{CALLS_IN_FLIGHT_EACH_MAX} calls of this caller")
        self._all += 1
        self._of[credential] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._of[credential] -= 1
            if not self._of[credential]:
                del self._of[credential]
            if not self._all and self._emptied is not None:
                self._emptied.set()

    async def empty(self) -> None:
        """Wait until nobody is in it."""
        while self._all:
            self._emptied = self._emptied or asyncio.Event()
            self._emptied.clear()
            await self._emptied.wait()


def _full(what: str) -> Overloaded:
    return Overloaded(f"{what} are in flight, and that is the limit", remedy="try again later")
