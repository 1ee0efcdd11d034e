"""An outage under load, on a virtual clock: nothing is amplified while it lasts, and all is well soon after."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from dataclasses import dataclass, field

from tests.builders import INTENT, FakeExchange, a_permit
from tests.harness import FakeUpstreams

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.ids import CountingIds
from toolward.config.resilience import ResilienceConfig, to_settings
from toolward.errors import ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.resilience.queueing import Queue
from toolward.kernel.resilience.resilience import Resilience
from toolward.kernel.resilience.turns import Turns
from toolward.kernel.tasks import Background
from toolward.model.call import Failed, Intent, RawOutcome, Returned
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange

SECOND = 1_000_000_000
CAPACITY = 20
"""Calls that the server serves at a time; each takes 0.1 s, so 200 in a second."""
CALLS_PER_S = 150
OUTAGE = (5.0, 25.0)


@dataclass
class Simulated:
    """A clock whose sleepers are woken in order when everybody sleeps."""

    at_ns: int = 0
    _sleepers: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=itertools.count)

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.at_ns + int(seconds * SECOND), next(self._count), future))
        await future

    async def run(self, until_s: float) -> None:
        """Go from one sleeper to the next."""
        while self._sleepers and self._sleepers[0][0] <= until_s * SECOND:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self.at_ns = at
            future.set_result(None)
            for _ in range(8):
                await asyncio.sleep(0)


@dataclass
class Fragile(FakeUpstreams):
    """A server that gives up on what is past its capacity, and does not answer at all during the outage."""

    clock: Simulated = field(default_factory=Simulated)
    busy: int = 0
    tried: list[float] = field(default_factory=list)

    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        now_s = self.clock.at_ns / SECOND
        self.tried.append(now_s)
        if OUTAGE[0] <= now_s < OUTAGE[1] or self.busy >= CAPACITY:
            await self.clock.sleep(0.01)
            reason = ReasonCode.TOOL_UNREACHABLE.value
            return Failed(code=-32000, message="away", reason=reason, from_server=False)
        self.busy += 1
        await self.clock.sleep(0.1)
        self.busy -= 1
        return Returned(result={}, size_bytes=2)


async def storm(config: ResilienceConfig) -> tuple[Fragile, list[tuple[float, bool]]]:
    """150 calls a second for a minute; what the server saw, and when each call ended well or not."""
    clock, chance = Simulated(), random.Random(7)
    server, ids = Fragile({}, clock=clock), CountingIds()
    store, background = MemoryStore(clock=clock, ids=ids), Background(lambda error: None)
    auditor = Auditor(store, clock=clock, ids=ids)
    incidents = Incidents(store, auditor, clock=clock, ids=ids)
    guard = Resilience(
        server,
        settings=to_settings(config, ()),
        clock=clock,
        queue=Queue(clock=clock, background=background),
        turns=Turns(store, auditor, incidents, clock=clock, background=background),
        chance=chance.random,
    )
    ends: list[tuple[float, bool]] = []

    async def call() -> None:
        outcome = await guard.execute(a_permit(egress=False), INTENT, FakeExchange())
        ends.append((clock.at_ns / SECOND, isinstance(outcome, Returned)))

    async def load() -> None:
        for _ in range(60 * CALLS_PER_S):
            _ = background.start(call())
            await clock.sleep(chance.expovariate(CALLS_PER_S))

    loading = background.start(load())
    await asyncio.sleep(0)
    await clock.run(60.0)
    loading.cancel()
    background.cancel()
    await background.drain()
    return server, ends


def within(times: list[float], begin: float, end: float) -> int:
    return sum(begin <= each < end for each in times)


async def test_a_server_that_is_away_gets_a_trickle_and_recovers_at_once_when_it_is_back() -> None:
    server, ends = await storm(ResilienceConfig(in_flight_each_tool=CAPACITY))
    assert within(server.tried, OUTAGE[0] + 1, OUTAGE[1]) <= 2  # of about 2 850 calls
    after_s = (
        OUTAGE[0] + 30 * 1.1 + 0.5
    )  # when the circuit that opened with the outage was closed at the latest
    late = [well for at, well in ends if after_s <= at < 59]
    assert len(late) > 2_500
    assert sum(late) / len(late) > 0.99


async def test_without_circuits_retries_alone_stay_within_their_budget_and_do_not_keep_it_down() -> None:
    never = ResilienceConfig(failures=20, failed_percent=100, open_s=1, open_max_s=1)
    server, ends = await storm(never)
    seen, asked = within(server.tried, 6, 24), CALLS_PER_S * 18
    assert seen < asked * 1.3  # a fifth, and what the floor gives
    late = [well for at, well in ends if OUTAGE[1] + 3 <= at < 59]
    assert sum(late) / len(late) > 0.97
