"""The process that makes load: `python -m toolward.lab.bench.load`.

One job for each line of its input, as JSON; two lines of output for each: `{"ready": true}` once sessions are
open and the target is warm, and the figures once a line came back and the time is over.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import uvloop

from toolward.lab.bench.client import Address, Caller, WrongReply
from toolward.lab.bench.moments import Moments

_WARM_CALLS: Final = 5
_ERRORS_SHOWN: Final = 300
_OPEN_AT_ONCE: Final = 8
_PATIENCE_S: Final = 20.0
"""How long an open loop waits for its last answers."""


@dataclass(slots=True)
class Tally:
    """What one run saw."""

    waits_ns: list[int]
    wrong: int = 0
    first_wrong: str = ""

    def note(self, error: Exception) -> None:
        """One call that failed."""
        self.wrong += 1
        self.first_wrong = self.first_wrong or f"{type(error).__name__}: {error}"[:_ERRORS_SHOWN]

    def as_json(self, elapsed_s: float) -> dict[str, Any]:
        """The figures; waits in milliseconds."""
        self.waits_ns.sort()
        count = len(self.waits_ns)

        def at(part: float) -> float:
            return self.waits_ns[min(count - 1, int(count * part))] / 1e6 if count else 0.0

        return {
            "calls": count,
            "elapsed_s": elapsed_s,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "wrong": self.wrong,
            "first_wrong": self.first_wrong,
        }


async def _opened(address: Address, count: int, warm: int) -> list[Caller]:
    callers = [Caller(address) for _ in range(count)]
    gate = asyncio.Semaphore(_OPEN_AT_ONCE)

    async def one(number: int, caller: Caller) -> None:
        async with gate:
            await caller.open()
        # no connection stays idle while others warm up: a target may close it for that
        for turn in range(warm):
            await caller.call(f"warm{number}-{turn}")

    await asyncio.gather(*(one(number, caller) for number, caller in enumerate(callers)))
    return callers


async def _closed_loop(callers: list[Caller], seconds: float, tally: Tally) -> None:
    """Every caller calls again as soon as it was answered."""
    end = time.monotonic_ns() + int(seconds * 1e9)

    async def one(number: int, caller: Caller) -> None:
        turn = 0
        while (start := time.monotonic_ns()) < end:
            turn += 1
            try:
                await caller.call(f"m{number}-{turn}")
            except WrongReply as error:
                tally.note(error)
                return
            tally.waits_ns.append(time.monotonic_ns() - start)

    await asyncio.gather(*(one(number, caller) for number, caller in enumerate(callers)))


async def _open_loop(callers: list[Caller], seconds: float, rate: float, tally: Tally) -> None:
    """Calls come at random moments (Poisson, seeded), whether or not earlier ones were answered.

    A wait counts from the moment at which its call was due, so that a target that stalls can not hide it;
    where every connection is taken, waiting for one is part of it.
    """
    chance = random.Random(7)
    idle, places = deque(callers), asyncio.Semaphore(len(callers))
    due = time.monotonic_ns()
    end = due + int(seconds * 1e9)

    async def one(text: str, since: int) -> None:
        async with places:
            caller = idle.pop()
            try:
                await caller.call(text)
            except WrongReply as error:
                tally.note(error)
                idle.appendleft(caller)  # its connection may be broken: others go first
            else:
                tally.waits_ns.append(time.monotonic_ns() - since)
                idle.append(caller)

    number = 0
    try:
        with Moments() as moments:
            async with asyncio.timeout(seconds + _PATIENCE_S), asyncio.TaskGroup() as group:
                while due < end:
                    due += int(chance.expovariate(rate) * 1e9)
                    await moments.until(due)
                    number += 1
                    group.create_task(one(f"o{number}", due))
    except TimeoutError:
        tally.note(WrongReply(f"calls were not answered {_PATIENCE_S:g} s after the last one"))


async def _job(job: Mapping[str, Any], lines: asyncio.StreamReader) -> None:
    address = Address(**job["address"])
    tally = Tally([])
    try:
        callers = await _opened(address, job["connections"], job.get("warm", _WARM_CALLS))
    except (WrongReply, OSError) as error:
        _say({"ready": False, "first_wrong": f"{type(error).__name__}: {error}"[:_ERRORS_SHOWN]})
        return
    _say({"ready": True})
    await lines.readline()
    start = time.perf_counter()
    if job.get("rate"):
        await _open_loop(callers, job["seconds"], job["rate"], tally)
    else:
        await _closed_loop(callers, job["seconds"], tally)
    _say(tally.as_json(time.perf_counter() - start))
    for caller in callers:
        await caller.leave()


def _say(value: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


async def _serve() -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await _job(orjson.loads(line), lines)


if __name__ == "__main__":
    uvloop.run(_serve())
