"""While the gateway's loop is late it takes on fewer calls; undo and what people released always find room."""

from __future__ import annotations

import asyncio

import pytest

from toolward.config.limits import CALLS_IN_FLIGHT_MAX
from toolward.errors import Overloaded
from toolward.kernel.resilience.pressure import LOOK_S, LOOKS, watch_lag
from toolward.kernel.room import Room


def full_of(calls: int) -> Room:
    room = Room()
    for number in range(calls):
        room.take(f"agent-{number % 8}")
    return room


def test_a_late_gateway_refuses_what_is_past_three_quarters_of_what_it_has() -> None:
    room = full_of(100)
    room.adapt(late=True)
    with pytest.raises(Overloaded, match="the gateway is late") as refused:
        room.take("agent-9")
    assert dict(refused.value.reason.details) == {"retry_after_s": "1"}
    room.take("agent-9", reserved=True)
    for _ in range(60):
        room.adapt(late=False)
    assert room.most == CALLS_IN_FLIGHT_MAX
    room.take("agent-9")


class Late:
    """A clock whose sleepers wake so many seconds late, one after the other."""

    def __init__(self, *late_s: float) -> None:
        self._late_s = list(late_s)
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns

    async def sleep(self, seconds: float) -> None:
        if not self._late_s:
            await asyncio.Event().wait()
        self.at_ns += int((seconds + self._late_s.pop(0)) * 1_000_000_000)


async def told(*late_s: float) -> list[bool]:
    said: list[bool] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await watch_lag(Late(*late_s), lambda: 500, said.append)
    return said


async def test_one_late_look_is_no_overload_and_half_a_second_of_them_is() -> None:
    assert await told(*[3.0, *[0.0] * 6]) == [False] * 7
    assert await told(*[0.6] * (LOOKS + 1)) == [False] * (LOOKS - 1) + [True, True]
    assert LOOK_S * LOOKS == 0.5
