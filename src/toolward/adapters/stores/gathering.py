"""Which commits go into one group: those that come together, and those that come while one is written."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from toolward.config.limits import COMMIT_BATCH_MAX
from toolward.model.event import Event, Receipt
from toolward.ports.store import Change

GATHER_S: Final = 0.008
"""At most this long commits are gathered while the writer is free, however many keep coming."""
RESUMED_S: Final = GATHER_S / 4
"""The same once they were held: so much time they have waited already."""
QUIET_TURNS: Final = 8
"""What a socket brings reaches `commit` in about five turns of the loop: each step of a call takes one."""


class Asked(NamedTuple):
    """One caller's commit that waits for its group; `shred` names a record whose payloads are destroyed."""

    events: Sequence[Event]
    changes: tuple[Change, ...]
    future: asyncio.Future[tuple[Receipt, ...]]
    shred: int | None

    @property
    def weight(self) -> int:
        """What it counts against the limits: records, at least one."""
        return len(self.events) or 1


@dataclass(slots=True, eq=False)
class _Gathering:
    """One group on its way to the writer."""

    until: float  # the loop's time
    seen: int = 0
    quiet: int = 0
    held: bool = False  # until the writer has answered
    resumed: bool = False  # was held


class Gatherer:
    """Hands groups over, in order. `busy` tells whether the writer has one that it has not answered.

    It gathers on the loop of whoever asks, one loop at a time; `on_answered` may be called in any thread.
    """

    def __init__(self, *, busy: Callable[[], bool], hand_over: Callable[[Sequence[Asked]], None]) -> None:
        """`hand_over` is called on the loop, or by `drain`."""
        self._busy = busy
        self._hand_over = hand_over
        self._pending: list[Asked] = []
        self.weight = 0  # of what is pending
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathering: _Gathering | None = None
        self._last_group = 1

    @property
    def holds(self) -> bool:
        """Whether something waits for the writer's answer."""
        return self._gathering is not None and self._gathering.held

    def add(self, asked: Asked) -> None:
        """Its future is resolved by whoever takes its group."""
        loop = asked.future.get_loop()
        if not self._pending or self._loop is not loop:
            self._begin(loop)
        self._pending.append(asked)
        self.weight += asked.weight

    def drain(self) -> None:
        """Hand over all that is pending, now."""
        while self._pending:
            self._flush()

    def on_answered(self) -> None:
        """After each group that the writer has answered: whoever is held goes on, on its own loop.

        Also where nobody seems to be held: who looked a moment ago whether the writer is at work comes to
        rest only now.
        """
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # that loop is closed: the next commit gathers anew
                loop.call_soon_threadsafe(self._resume, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gathering = _Gathering(loop.time() + GATHER_S)
        loop.call_soon(self._gather, loop, self._gathering)

    def _gather(self, loop: asyncio.AbstractEventLoop, gathering: _Gathering) -> None:
        """Hand over once the loop has nothing more to bring: some turns without a new commit.

        What is ready now (requests in the sockets, answers of servers) joins one group instead of following
        in small ones: a group costs the same for four records as for forty, and while the writer works it
        takes the interpreter lock from a busy loop. Whoever was alone the last time waits for nobody.

        What comes while the writer is at work is held until it has answered, and what those answers bring
        at once joins it. Else of two calls each would wait for the commits of the other, one after the other.
        """
        if gathering is not self._gathering:
            return
        if self._busy():
            gathering.held = True  # `_resume` goes on
            return
        waiting = len(self._pending)
        gathering.quiet = gathering.quiet + 1 if waiting == gathering.seen else 0
        gathering.seen = waiting
        alone = waiting == 1 and self._last_group == 1 and not gathering.resumed
        if alone or gathering.quiet >= QUIET_TURNS or loop.time() >= gathering.until:
            self._flush()
            if self._pending:
                self._begin(loop)
        else:
            loop.call_soon(self._gather, loop, gathering)

    def _resume(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gather on: what the answers bring at once comes before the turns that count as quiet are over."""
        gathering = self._gathering
        if gathering is not None and gathering.held and loop is self._loop:
            gathering.held, gathering.resumed, gathering.quiet = False, True, 0
            gathering.until = max(gathering.until, loop.time() + RESUMED_S)
            self._gather(loop, gathering)

    def _flush(self) -> None:
        first, self._gathering = self._first_group(), None
        self._last_group = len(first) or self._last_group
        self._hand_over(first)

    def _first_group(self) -> list[Asked]:
        """Take what goes into one transaction: nearly always all that is pending."""
        pending, count, weight = self._pending, 0, 0
        for asked in pending:
            if count and weight + asked.weight > COMMIT_BATCH_MAX:
                break
            count += 1
            weight += asked.weight
        self._pending = pending[count:]
        self.weight -= weight
        return pending[:count]
