"""Moments to the microsecond: the kernel's timer, since the loop's own counts whole milliseconds."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Final, Self

_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK | TFD_CLOEXEC
_SECOND_NS: Final = 1_000_000_000


class _Span(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Span), ("first", _Span))


class Moments:
    """A `timerfd` on the running loop, for one waiter at a time. Linux only."""

    def __init__(self) -> None:
        """Raises `OSError` if the kernel gives no timer."""
        self._kernel = ctypes.CDLL(None, use_errno=True)
        self._timer: int = self._kernel.timerfd_create(time.CLOCK_MONOTONIC, _FLAGS)
        _check(self._timer)
        self._came = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._timer, self._fired)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._timer)
        os.close(self._timer)
        self._timer = -1

    def _fired(self) -> None:
        os.read(self._timer, 8)
        self._came.set()

    async def until(self, moment_ns: int) -> None:
        """Wait for a moment of `time.monotonic_ns`; returns at once if it is over.

        Raises `OSError` after the block was left.
        """
        if moment_ns <= time.monotonic_ns():
            return
        self._came.clear()
        first = _Span(*divmod(moment_ns, _SECOND_NS))
        setting = ctypes.byref(_Setting(first=first))
        _check(self._kernel.timerfd_settime(self._timer, _ABSOLUTE, setting, None))
        await self._came.wait()


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
