"""One processor for the loop's thread and the store's, for as long as records flow."""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

from toolward.config.processors import ALLOWED, use

SHARED_S: Final = 0.05
"""So long one choice stands. Then the kernel may place both anew, away from whoever else works there."""


class OneProcessor:
    """Brings a thread to the processor of the thread of an event loop, and keeps both there for a while.

    The two take turns: one works while the other waits. A kernel does not know that, and wakes each on
    another, idle processor, which has to be woken and has nothing of what they share at hand (decision 36).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` must be its thread's only work: for a while that thread runs on one processor."""
        self._loop = loop
        self._here = getattr(ctypes.CDLL(None), "sched_getcpu", None) if len(ALLOWED) > 1 else None
        self._together = 0  # the other thread, while both are kept

    def share(self, thread: int) -> None:
        """Called by the loop's thread when it hands something over to that one (`Thread.native_id`)."""
        if self._together or self._here is None:
            return
        here = frozenset({int(self._here())})
        if not here <= ALLOWED:  # the call failed, or what is allowed was changed since the start
            return
        for each in (thread, 0):
            use(here, thread=each)
        self._together = thread
        self._loop.call_later(SHARED_S, self._part)

    def _part(self) -> None:
        for each in (self._together, 0):
            use(ALLOWED, thread=each)
        self._together = 0
