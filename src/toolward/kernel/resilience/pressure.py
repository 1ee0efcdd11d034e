"""Load shedding: how late the gateway's own loop is decides how many calls it takes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from toolward.ports.clock import Clock

LOOK_S: Final = 0.1
"""Between two looks at how late the loop is."""
LOOKS: Final = 5
"""Looks that must all be late: one alone is a large answer, or a machine that was busy elsewhere."""
_MS: Final = 1_000_000


async def watch_lag(clock: Clock, lag_max_ms: Callable[[], int], adapt: Callable[[bool], None]) -> None:
    """Tell `adapt` after each look whether the loop was late all the while, for as long as the task lives."""
    late: deque[bool] = deque(maxlen=LOOKS)
    while True:
        before = clock.monotonic_ns()
        await clock.sleep(LOOK_S)
        lag_ms = (clock.monotonic_ns() - before) / _MS - LOOK_S * 1000
        late.append(lag_ms > lag_max_ms())
        adapt(len(late) == LOOKS and all(late))
