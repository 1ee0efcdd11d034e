"""The memory of a running cage, added up: limits of one process do not hold many."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from toolward.adapters.sandboxes.settings import WATCH_MS

_COUNTED = ("RssAnon:", "RssShmem:")
_KIB = 1024


class MemoryWatch:
    """Calls `on_excess` once when the processes below `pid` together hold more than `bytes_max`."""

    def __init__(self, pid: int, bytes_max: int, on_excess: Callable[[], None]) -> None:
        self._pid = pid
        self._bytes_max = bytes_max
        self._on_excess = on_excess
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(WATCH_MS / 1000, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._next.cancel()

    def _look(self) -> None:
        held = memory_of(self._pid)
        if held > self._bytes_max:
            self._on_excess()
        elif held:  # a process that lives holds something
            self._next = self._loop.call_later(WATCH_MS / 1000, self._look)


def memory_of(pid: int) -> int:
    """Bytes of anonymous and shared memory that a process and its descendants hold; 0 if it is gone."""
    total, todo = 0, [pid]
    while todo:
        each = todo.pop()
        total += _resident(each)
        todo += _children(each)
    return total


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith(_COUNTED))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # it ended while we looked
    return found
