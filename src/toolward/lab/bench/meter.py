"""Where the CPU of a call goes: exclusive thread time by owner, charged at each change of owner.

Coroutines are driven step by step, so that what a stage waits for is nobody's. One reading of the thread's
CPU clock for each change is all it costs; how much that is can be asked for (`reading_ns`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from functools import wraps
from inspect import iscoroutinefunction
from threading import get_ident
from typing import Any, Final

LOOP: Final = "event loop, tasks, sockets"


class Meter:
    """Belongs to the thread that makes it."""

    def __init__(self) -> None:
        """Everything is the event loop's until somebody else takes over."""
        self.spent_ns: Counter[str] = Counter()
        self.entered: Counter[str] = Counter()
        self.left: Counter[str] = Counter()  # how often each lost its turn: what measuring added to it
        self._owner = LOOP
        self._thread = get_ident()
        self._since = time.thread_time_ns()

    def reset(self) -> None:
        """Count from now."""
        self.spent_ns.clear()
        self.entered.clear()
        self.left.clear()
        self._since = time.thread_time_ns()

    def switch(self, owner: str) -> str:
        """From now on time is `owner`'s; returns whose it was."""
        now = time.thread_time_ns()
        before = self._owner
        self.spent_ns[before] += now - self._since
        self.left[before] += 1
        self._owner, self._since = owner, now
        return before

    def wrap(self, owner: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, charging what it does itself to `owner`, unless another thread runs it."""
        if iscoroutinefunction(function):

            @wraps(function)
            async def steps(*args: Any, **kwargs: Any) -> Any:
                self.entered[owner] += 1
                return await _Steps(self, owner, function(*args, **kwargs))

            return steps

        @wraps(function)
        def whole(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != self._thread:
                return function(*args, **kwargs)
            self.entered[owner] += 1
            before = self.switch(owner)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch(before)

        return whole


class _Steps:
    """A coroutine whose every step is charged to one owner."""

    __slots__ = ("_inner", "_meter", "_owner")

    def __init__(self, meter: Meter, owner: str, inner: Coroutine[Any, Any, Any]) -> None:
        self._meter = meter
        self._owner = owner
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        error: BaseException | None = None
        while True:
            before = self._meter.switch(self._owner)
            try:
                if error is None:
                    waited = self._inner.send(value)
                else:
                    raised, error = error, None
                    waited = self._inner.throw(raised)
            except StopIteration as done:
                return done.value
            finally:
                self._meter.switch(before)
            try:
                value = yield waited
            except BaseException as thrown:  # noqa: BLE001 -- handed on into the coroutine, whatever it is
                error = thrown


def reading_ns(count: int = 20_000) -> float:
    """What one change of owner costs, in nanoseconds of CPU."""
    meter = Meter()
    start = time.thread_time_ns()
    for _ in range(count):
        meter.switch(LOOP)
    return (time.thread_time_ns() - start) / count
