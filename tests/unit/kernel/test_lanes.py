"""Who gets a place that became free: whoever waits longest for one that is free to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from toolward.kernel.resilience.lanes import Lane, ServerLane, Waiter
from toolward.model.resilience import Limits

LIMITS = Limits(
    failures=5,
    failed_percent=50,
    open_s=10,
    open_max_s=60,
    in_flight=2,
    queue=8,
    queue_wait_ms=1000,
    retries=0,
    retry_percent=0,
)


def waiting(lane: Lane, caller: str, *, first: bool = False) -> Waiter:
    waiter = Waiter(lane, caller, first, asyncio.get_running_loop().create_future())
    lane.server.join(waiter)
    return waiter


def placed(waiters: list[Waiter]) -> list[bool]:
    return [each.given.done() for each in waiters]


async def test_a_place_goes_to_the_first_who_may_have_it_and_not_past_what_is_full() -> None:
    server = ServerLane("srv", replace(LIMITS, in_flight=8))
    busy, free = Lane("srv/busy", LIMITS, server), Lane("srv/free", LIMITS, server)
    busy.enter("a")
    busy.enter("a")
    waiters = [waiting(busy, "a"), waiting(busy, "a"), waiting(busy, "b"), waiting(free, "a")]
    busy.leave("a")
    assert placed(waiters) == [True, False, False, True]
    busy.leave("a")
    assert placed(waiters) == [True, True, False, True]
    assert server.waiting == [waiters[2]]


async def test_all_places_that_are_free_are_given_at_once() -> None:
    server = ServerLane("srv", replace(LIMITS, in_flight=8))
    lane = Lane("srv/tool", LIMITS, server)
    lane.enter("a")
    lane.enter("a")
    waiters = [waiting(lane, "a") for _ in range(4)]
    lane.bound(replace(LIMITS, in_flight=4))
    lane.leave("a")
    assert placed(waiters) == [True, True, True, False]


async def test_who_is_first_finds_a_place_where_others_find_none() -> None:
    server = ServerLane("srv", replace(LIMITS, in_flight=64))
    lane = Lane("srv/tool", replace(LIMITS, in_flight=16), server)
    for _ in range(17):
        lane.enter("a")
    waiters = [waiting(lane, "a"), waiting(lane, "a", first=True)]
    lane.leave("a")  # sixteen run still: two more are there for who is first
    assert placed(waiters) == [False, True]


async def test_who_gave_up_at_this_moment_takes_no_place() -> None:
    server = ServerLane("srv", replace(LIMITS, in_flight=8))
    lane = Lane("srv/tool", LIMITS, server)
    lane.enter("a")
    lane.enter("a")
    waiters = [waiting(lane, "a"), waiting(lane, "a")]
    waiters[0].given.cancel()
    lane.leave("a")
    assert waiters[1].given.done()
    assert lane.running == ["a", "a"]
