"""An open loop does not hide a target that stalls, and ends beside one that never answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from toolward.lab.bench import load
from toolward.lab.bench.client import WrongReply
from toolward.lab.bench.load import Tally
from toolward.lab.bench.moments import Moments

RATE = 2_000.0
SECONDS = 0.05


class Stalling:
    """A connection whose answers all come at once, when the load is over."""

    def __init__(self, until: asyncio.Event) -> None:
        self.until = until
        self.calls = 0

    async def call(self, text: str) -> None:
        self.calls += 1
        await self.until.wait()


class Broken(Stalling):
    async def call(self, text: str) -> None:
        self.calls += 1
        raise WrongReply("the connection was closed")


async def test_a_call_that_waits_for_a_connection_counts_from_when_it_was_due() -> None:
    over, tally = asyncio.Event(), Tally([])
    asyncio.get_running_loop().call_later(SECONDS, over.set)
    await load._open_loop([Stalling(over)], SECONDS, RATE, tally)
    assert tally.wrong == 0
    assert len(tally.waits_ns) > RATE * SECONDS / 2
    tally.waits_ns.sort()
    # due at moments spread over the whole load, so half of them waited for half of it
    assert tally.waits_ns[len(tally.waits_ns) // 2] > SECONDS * 1e9 / 4


async def test_a_target_that_never_answers_is_given_up_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_PATIENCE_S", 0.05)
    tally = Tally([])
    await load._open_loop([Stalling(asyncio.Event())], SECONDS, RATE, tally)
    assert (tally.waits_ns, tally.wrong) == ([], 1)
    assert "were not answered" in tally.first_wrong


async def test_a_broken_connection_takes_no_turns_of_those_that_work() -> None:
    over, tally = asyncio.Event(), Tally([])
    over.set()
    broken, works = Broken(over), Stalling(over)
    await load._open_loop([works, broken], SECONDS, RATE, tally)
    assert works.calls > 10 * broken.calls >= 10


async def test_a_moment_is_never_early_and_one_that_is_over_is_now() -> None:
    with Moments() as moments:
        for ahead_ns in (-1_000_000, 0, 1_000, 200_000, 1_000_000):
            due = time.monotonic_ns() + ahead_ns
            await moments.until(due)
            assert time.monotonic_ns() >= due
    with pytest.raises(OSError, match="Bad file descriptor"):
        await moments.until(time.monotonic_ns() + 1_000_000)
