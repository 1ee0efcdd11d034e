"""How many calls may be in flight: all together, and of one caller, so that a busy one leaves room."""

from __future__ import annotations

import asyncio

from toolward.config.limits import CALLS_IN_FLIGHT_EACH_MAX, CALLS_IN_FLIGHT_MAX
from toolward.errors import Overloaded


class Room:
    """Counts calls; refuses at once rather than queueing without bound."""

    def __init__(self) -> None:
        self._all = 0
        self._of: dict[str, int] = {}
        self._emptied: asyncio.Event | None = None

    def take(self, credential: str, *, reserved: bool = False) -> None:
        """One call's place, to be left. Raises `Overloaded`, but not for what is `reserved`: undo."""
        mine = self._of.get(credential, 0)
        if self._all >= CALLS_IN_FLIGHT_MAX and not reserved:
            raise _full(f"{CALLS_IN_FLIGHT_MAX} calls")
        if mine >= CALLS_IN_FLIGHT_EACH_MAX and not reserved:
            raise _full(f"{CALLS_IN_FLIGHT_EACH_MAX} calls of this caller")
        self._all += 1
        self._of[credential] = mine + 1

    def leave(self, credential: str) -> None:
        """Once for each place that was taken."""
        self._all -= 1
        mine = self._of[credential] - 1
        if mine:
            self._of[credential] = mine
        else:
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
