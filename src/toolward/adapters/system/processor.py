"""One processor for the loop's thread and the store's, for as long as records flow."""

from __future__ import annotations

import asyncio
import ctypes
from types import TracebackType
from typing import Final, Self

from toolward.config.processors import keep_on, let_go

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
        self._here = getattr(ctypes.CDLL(None), "sched_getcpu", None)
        self._over: asyncio.TimerHandle | None = None  # while both are kept
        self._kept = (-1, 0)  # the processor, and the other thread

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._over is not None:
            self._over.cancel()
            self._part()

    def share(self, thread: int) -> None:
        """Called by the loop's thread when it hands something over to that one (`Thread.native_id`)."""
        if self._over is not None or self._here is None:
            return
        self._over = self._loop.call_later(SHARED_S, self._part)
        self._kept = int(self._here()), thread
        keep_on(*self._kept)

    def _part(self) -> None:
        self._over = None
        let_go(*self._kept)
