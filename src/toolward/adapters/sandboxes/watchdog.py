"""Looks at a running cage every few milliseconds, and ends it when its processes together took too much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from toolward.adapters.sandboxes.cgroups import Leaf
from toolward.adapters.sandboxes.settings import WATCH_MS
from toolward.adapters.sandboxes.usage import Use, Written, use_of
from toolward.ports.sandbox import StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What a cage may use up in all; -1: as much as it wants, or something else counts it."""

    memory_bytes: int
    tasks: int = -1
    cpu_s: int = -1
    written_bytes: int = -1
    written: Written = Written.TO_DISK


class Growing:
    """A total that only grows, over processes that come and go.

    Who waits for a child takes over what it used; what falls was of those that ended and nobody waited for.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._lost = 0.0

    def total(self, seen: float) -> float:
        """The total, with what is seen now."""
        self._lost += max(0.0, self._last - seen)
        self._last = seen
        return seen + self._lost


class CageWatch:
    """Calls `on_excess` once when the processes at and below `pid` together exceed a ceiling."""

    def __init__(
        self,
        pid: int,
        ceilings: Ceilings,
        on_excess: Callable[[StopReason, str], None],
        *,
        group: Leaf | None = None,
    ) -> None:
        """`group` counts processor time where there is one: those included that ended between two looks."""
        self._group = group
        self._pid = pid
        self._ceilings = ceilings
        self._on_excess = on_excess
        self._cpu = Growing()
        self._written = Growing()
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(WATCH_MS / 1000, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._next.cancel()

    def _look(self) -> None:
        limits = self._ceilings
        written = limits.written if limits.written_bytes >= 0 else None
        by_group = self._group if limits.cpu_s >= 0 else None
        use = use_of(self._pid, cpu=limits.cpu_s >= 0 and by_group is None, written=written)
        if by_group is not None:
            use.cpu_s = by_group.cpu_s()
        excess = self._excess_in(use) if use.alive else None
        if excess is not None:
            self._on_excess(*excess)
        elif use.alive:
            self._next = self._loop.call_later(WATCH_MS / 1000, self._look)

    def _excess_in(self, use: Use) -> tuple[StopReason, str] | None:
        limits = self._ceilings
        if 0 <= limits.memory_bytes < use.memory_bytes:
            said = f"its processes together took more than {limits.memory_bytes} bytes"
            return StopReason.MEMORY, said
        if 0 <= limits.tasks < use.tasks:
            return StopReason.PROCESSES, f"it had more than {limits.tasks} processes and threads"
        if 0 <= limits.cpu_s < self._cpu.total(use.cpu_s):
            return StopReason.CPU, f"its processes together took more than {limits.cpu_s} s of processor time"
        if 0 <= limits.written_bytes < self._written.total(use.written_bytes):
            return StopReason.WRITTEN, f"its processes together wrote more than {limits.written_bytes} bytes"
        return None
