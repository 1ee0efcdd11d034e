"""The memory of a running cage, added up: limits of one process do not hold many."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from toolward.adapters.sandboxes.settings import WATCH_MS

_COUNTED = ("RssAnon:", "RssShmem:")
_KIB = 1024
_SOCKET_BYTES = 212_992
"""What the kernel may hold for one socket: its default buffer, its own records included."""
_DESCRIPTORS_FREE = 16
"""Of each process, not looked at: what ordinary programs have open."""


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
    """Bytes that a process and its descendants hold; 0 if it is gone.

    Anonymous and shared memory, and what the kernel may hold for their sockets, which no limit of a process
    counts: a tool could take several times its memory so.
    """
    total, todo = 0, [pid]
    sockets: set[str] = set()
    unseen = 0
    while todo:
        each = todo.pop()
        total += _resident(each)
        unseen += _descriptors(each, sockets)
        todo += _children(each)
    return total + _SOCKET_BYTES * (len(sockets) + unseen) if total else 0


def _descriptors(pid: int, sockets: set[str]) -> int:
    """Add the sockets of a process that has many descriptors; where they can not be seen, count those."""
    directory = f"/proc/{pid}/fd"
    count = 0
    try:
        count = os.stat(directory).st_size  # how many are open; 0 before Linux 6.2
        if 0 < count <= _DESCRIPTORS_FREE:
            return 0
        for name in os.listdir(directory):
            target = os.readlink(f"{directory}/{name}")
            if target.startswith("socket:"):
                sockets.add(target)
    except PermissionError:
        return max(0, count - _DESCRIPTORS_FREE)
    except OSError:
        return 0
    return 0


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
