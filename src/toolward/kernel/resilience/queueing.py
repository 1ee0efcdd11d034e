"""Waiting for a place in a lane: for so long and no longer, and with only so many others."""

from __future__ import annotations

import asyncio

from toolward.kernel.resilience.lanes import Lane, Waiter
from toolward.kernel.resilience.refusing import no_place, no_place_in_time
from toolward.kernel.tasks import Background
from toolward.ports.clock import Clock


class NotBegun(asyncio.CancelledError):
    """Whoever called, or a person, ended the call while it waited: nothing ran."""


class Queue:
    """Lets calls into lanes."""

    def __init__(self, *, clock: Clock, background: Background) -> None:
        self._clock = clock
        self._background = background

    def check(self, lane: Lane, caller: str, *, first: bool) -> bool:
        """Whether a place is free. Raises `Overloaded` where there is none to wait in either."""
        limits, server = lane.limits, lane.server
        queued = 0 if first else lane.queued()
        if not queued and lane.has_room(caller, first=first):
            return True
        if not first and (queued >= limits.queue or len(server.waiting) >= server.limits.queue):
            raise no_place(lane.key, running=len(lane.running), wait_ms=limits.queue_wait_ms)
        return False

    async def enter(self, lane: Lane, caller: str, *, first: bool) -> None:
        """Return once the call has its place. Raises `Overloaded`, and `NotBegun` when it is cancelled."""
        if self.check(lane, caller, first=first):
            lane.enter(caller)
            return
        limits, server = lane.limits, lane.server
        waiter = Waiter(lane, caller, first, asyncio.get_running_loop().create_future())
        server.join(waiter)
        late = self._background.start(self._clock.sleep(limits.queue_wait_ms / 1000))
        try:
            _ = await asyncio.wait((waiter.given, late), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as gone:
            if waiter.given.done():
                lane.leave(caller)
            raise NotBegun from gone
        finally:
            late.cancel()
            if not waiter.given.done():
                server.waiting.remove(waiter)
                _ = waiter.given.cancel()
        if waiter.given.cancelled():
            raise no_place_in_time(lane.key, wait_ms=limits.queue_wait_ms)
