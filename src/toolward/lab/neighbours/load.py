"""Calls for the seven that behave, at random moments, and calls of the three that do not, in a process apart.

`python -m toolward.lab.neighbours.load` is that process: a line with its job begins it, a line ends it.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import uvloop

from toolward.kernel.resilience.breaker import Breaker
from toolward.lab.bench.client import Address, Caller, WrongReply
from toolward.lab.bench.load import Tally
from toolward.lab.neighbours.directly import call_directly

CONNECTIONS: Final = 8
"""To each server that behaves."""
PAUSE_S: Final = 0.1
"""After an answer, and after a refusal: an agent thinks in between."""
_RETRY_AFTER: Final = re.compile(r"again after (\d+) s")
LOOK: Final = b'"look"\n'
"""The line that asks what was seen so far; any other ends the load."""
_LOST: Final = (WrongReply, OSError, KeyError, TypeError)


@dataclass(slots=True)
class GoodCallers:
    """Sessions with the servers that behave, open and warm."""

    idle: list[asyncio.Queue[Caller]]  # of each server

    async def run(self, seconds: float, rate: float, *, seed: int = 7) -> Mapping[str, Any]:
        """`rate` calls a second over all servers, whether or not earlier ones were answered; what they saw.

        A wait counts from the moment at which its call was due, so a busy connection can not hide it. One
        `seed` brings the same moments again.
        """
        tally, chance = Tally([]), random.Random(seed)
        due = time.monotonic_ns()
        end = due + int(seconds * 1e9)

        async def one(idle: asyncio.Queue[Caller], text: str, since: int) -> None:
            caller = await idle.get()
            try:
                await caller.call(text)
            except _LOST as error:
                tally.note(error)
                return
            tally.waits_ns.append(time.monotonic_ns() - since)
            idle.put_nowait(caller)

        async with asyncio.TaskGroup() as group:
            number = 0
            while due < end:
                due += int(chance.expovariate(rate) * 1e9)
                await asyncio.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
                _ = group.create_task(one(self.idle[number % len(self.idle)], f"well{number}", due))
                number += 1
        return tally.as_json(seconds)

    def close(self) -> None:
        """Drop what is idle, which is all when nothing went wrong."""
        for each in self.idle:
            while not each.empty():
                each.get_nowait().close()


async def good_callers(addresses: Sequence[Address]) -> GoodCallers:
    """Open them and make a first call with each. Raises `WrongReply`, `OSError`."""
    found = GoodCallers([])
    for address in addresses:
        idle: asyncio.Queue[Caller] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            caller = Caller(address)
            await caller.open()
            await caller.call("warm")
            idle.put_nowait(caller)
        found.idle.append(idle)
    return found


async def _busy_caller(address: Address, text: str, seen: Counter[str], job: Mapping[str, Any]) -> None:
    """Call again and again for as long as the task lives, opening a session again when one is lost.

    With `heeds`, no sooner than a refusal says; after an answer `pause_s` later.
    """
    while True:
        caller = Caller(address)
        try:
            await caller.open()
            for number in range(1_000_000):
                pause_s = PAUSE_S
                try:
                    await caller.call(f"{text}{number}")
                    seen["answered"] += 1
                    pause_s = job["pause_s"]
                except WrongReply as error:
                    seen[_code(str(error))] += 1
                    if job["heeds"] and (told := _RETRY_AFTER.search(str(error))):
                        pause_s = float(told[1])
                await asyncio.sleep(pause_s)
        except _LOST:
            seen["lost"] += 1
            await asyncio.sleep(PAUSE_S)
        finally:
            caller.close()


def _code(text: str) -> str:
    """The reason code in an answer."""
    codes = ("circuit_open", "overloaded", "timed_out", "killed", "unknown_outcome", "tool_unreachable")
    return next((code for code in codes if code in text), "failed")


async def _serve() -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    job = orjson.loads(await lines.readline())
    seen: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_busy_caller(Address(**address), text, seen, job))
            for address, text in job["calls"]
            for _ in range(job["callers"])
        ]
        for port in job["directly"]:
            circuit = Breaker(str(port))
            tasks += [group.create_task(call_directly(port, circuit, seen)) for _ in range(job["callers"])]
        while await lines.readline() == LOOK:
            _say(seen)
        for task in tasks:
            _ = task.cancel()
    _say(seen)


def _say(seen: Counter[str]) -> None:
    sys.stdout.buffer.write(orjson.dumps(seen) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(_serve())
