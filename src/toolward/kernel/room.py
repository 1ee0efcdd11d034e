"""How many calls may be in flight: all together, and of one caller, so that a busy one leaves room."""

from __future__ import annotations

import asyncio

from toolward.config.limits import CALLS_IN_FLIGHT_EACH_MAX, CALLS_IN_FLIGHT_MAX
from toolward.errors import Overloaded
from toolward.rules.resilience.admitting import next_limit


class Room:
    """Counts calls; refuses at once rather than queueing without bound. There is less of it under load."""

    def __init__(self) -> None:
        self.most = CALLS_IN_FLIGHT_MAX
        self._all = 0
        self._of: dict[str, int] = {}
        self._emptied: asyncio.Event | None = None

    def take(self, credential: str, *, reserved: bool = False) -> None:
        """One call's place, to be left.

        Raises `Overloaded`, but not for what is `reserved`: undo, and what people released.
        """
        mine = self._of.get(credential, 0)
        if self._all >= self.most and not reserved:
            raise _full(f"{self.most} calls", late=self.most < CALLS_IN_FLIGHT_MAX)
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

    def adapt(self, *, late: bool) -> None:
        """Make less room while the gateway's own loop is late, and slowly more when it is not."""
        self.most = next_limit(self.most, most=CALLS_IN_FLIGHT_MAX, in_flight=self._all, late=late)

    async def empty(self) -> None:
        """Wait until nobody is in it."""
        while self._all:
            self._emptied = self._emptied or asyncio.Event()
            self._emptied.clear()
            await self._emptied.wait()


def _full(what: str, *, late: bool = False) -> Overloaded:
    why = "the gateway is late, so that is the limit" if late else "that is the limit"
    return Overloaded(
        f"{what} are in flight, and {why}", remedy="try again later", details=(("retry_after_s", "1"),)
    )
