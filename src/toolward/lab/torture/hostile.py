"""Hostile callers beside well-behaved ones: every good call is answered, and memory stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolward.bootstrap import open_house
from toolward.lab.report import Row
from toolward.lab.torture.bombs import Bomb, bombs
from toolward.lab.torture.clients import Connection, Gone, Load, Target, call_body, read_answer, with_length
from toolward.lab.torture.evidence import RULES, WRITE
from toolward.lab.torture.gather import BAD_LOG, BAD_RECEIPT, INCONSISTENT
from toolward.lab.torture.kills import Killed, judge, rows_of_rules
from toolward.lab.torture.nursery import nursery
from toolward.lab.torture.ward import free_port, furnish, write_ward
from toolward.lab.torture.witness import SLOW, witness_process

GOOD: Final = 8
HOSTILE: Final = 3
HALF_OPEN: Final = 90
HANG_UP_AFTER_S: Final = (0.0, 0.1)
DRIBBLE_S: Final = 0.1
MEMORY_GOAL_MB: Final = 5.0
"""RSS per 1 000 good calls and the several hundred hostile ones beside them.

Measured between two quiet stretches, after a third of the calls and at the end: during the siege it goes up
and down by a hundred MiB as bodies of megabytes come and go in the allocator's hands.
"""
WARM: Final = 1 / 3
QUIET: Final = 0.05
"""Share of the calls in each quiet stretch."""
_PER: Final = 1_000
_SERVER_FAULT: Final = 500
_MIB: Final = 1024 * 1024


@dataclass(slots=True)
class Siege:
    """What happened."""

    bombs: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    hung_up: int = 0
    dribbled: int = 0
    memory_at_start: float = 0.0  # RSS in MiB
    peak: float = 0.0
    quiet: list[tuple[int, float]] = field(default_factory=list)  # (good calls, RSS in MiB)
    files_before: int = 0
    files_after: int = 0
    judged: Killed = field(default_factory=Killed)
    good: int = 0
    unanswered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    p50_ms: float = 0.0
    worst_ms: float = 0.0

    def growth(self) -> float:
        """MiB per 1 000 good calls between the two quiet stretches."""
        first, last = self.quiet
        return (last[1] - first[1]) * _PER / (last[0] - first[0])


async def besiege(place: Path, *, calls: int, seed: int, say: Callable[[str], None]) -> Siege:
    """`calls` good calls while everybody else misbehaves, in the empty directory `place`."""
    chance = random.Random(seed)
    siege = Siege()
    with witness_process(place / "effects") as witness_port:
        path = write_ward(place / "ward", witness_port)
        async with open_house(path) as house:
            token = await furnish(house)
        load = Load(Target(port=free_port(), token=token), f"h{seed}", chance)
        async with nursery(path, load.target.port) as brood:
            await brood.start()
            await brood.ready()
            siege.files_before = _open_files(brood.pid)
            siege.memory_at_start = _memory(brood.pid)
            hung_up = Load(load.target, f"x{seed}", chance)
            async with asyncio.TaskGroup() as group:
                group.create_task(load.run(GOOD))
                for share in (WARM, 1.0):
                    async with _villains(load.target, hung_up, siege):
                        await _until(load, siege, brood.pid, calls * (share - QUIET))
                    say(f"{len(load.answers)}/{calls} good calls beside {siege.bombs.total()} bombs")
                    await _until(load, siege, brood.pid, calls * share)
                    siege.quiet.append((len(load.answers), _memory(brood.pid)))
                load.stopping = True
            await asyncio.sleep(1)
            siege.files_after = _open_files(brood.pid)
            await brood.end(signal.SIGTERM)
    siege.good, siege.unanswered, siege.refused = len(load.answers), len(load.unanswered), load.refused
    waits = sorted(load.waits_s)
    siege.p50_ms, siege.worst_ms = waits[len(waits) // 2] * 1000, waits[-1] * 1000
    load.unanswered |= hung_up.unanswered
    load.answers += hung_up.answers
    say("judging the evidence")
    await judge(place, load, siege.judged, chance)
    return siege


@asynccontextmanager
async def _villains(target: Target, hung_up: Load, siege: Siege) -> AsyncIterator[None]:
    """All of them at work, until the block ends."""
    async with asyncio.TaskGroup() as group:
        villains = [group.create_task(_bomber(target, siege)) for _ in range(HOSTILE)]
        villains.append(group.create_task(_leaver(hung_up, siege)))
        villains += [group.create_task(_half_open(target, number, siege)) for number in range(HALF_OPEN)]
        try:
            yield
        finally:
            for each in villains:
                each.cancel()


async def _until(load: Load, siege: Siege, pid: int, calls: float) -> None:
    while len(load.answers) < calls:
        siege.peak = max(siege.peak, _memory(pid))
        await asyncio.sleep(0.02)


async def _bomber(target: Target, siege: Siege) -> None:
    """One bomb after the other, each on whatever connection is left."""
    connection = Connection(target)
    try:
        while True:
            for bomb in bombs(target):
                await _throw(bomb, connection, siege)
    finally:
        connection.close()


async def _throw(bomb: Bomb, connection: Connection, siege: Siege) -> None:
    siege.bombs[bomb.name] += 1
    try:
        status, message = await connection.ask(bomb.request)
    except Gone:
        siege.codes["connection closed"] += 1
        return
    if bomb.unfinished:
        connection.close()
    answer = read_answer(bomb.name, "", status, message)
    siege.codes[answer.code or "answered"] += 1
    if not answer.code or status >= _SERVER_FAULT:
        siege.wrong[f"{bomb.name}: HTTP {status} {answer.code}"] += 1


async def _leaver(load: Load, siege: Siege) -> None:
    """Calls, and hangs up before the answer. What it started is settled all the same."""
    while True:
        siege.hung_up += 1
        key = f"{load.prefix}-{siege.hung_up}"
        tool = load.chance.choice((WRITE, SLOW))
        load.unanswered[key] = tool
        reader, writer = await asyncio.open_connection(load.target.host, load.target.port)
        try:
            writer.write(with_length(load.target.head("tools/call", tool), call_body(tool, {"key": key})))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(load.chance.uniform(*HANG_UP_AFTER_S)):
                    await reader.read(1)
        finally:
            writer.transport.abort()


async def _half_open(target: Target, number: int, siege: Siege) -> None:
    """Says nothing, dribbles its headers, or promises a body that never comes."""
    head = target.head("tools/call", WRITE)
    while True:
        reader, writer = await asyncio.open_connection(target.host, target.port)
        try:
            if number % 3 == 1:
                writer.write(head + b"content-length: 500\r\n\r\n{")
            elif number % 3 == 2:  # noqa: PLR2004 -- the third third
                for byte in head:
                    writer.write(bytes([byte]))
                    siege.dribbled += 1
                    await asyncio.sleep(DRIBBLE_S)
            with contextlib.suppress(OSError):
                await reader.read()
        finally:
            writer.transport.abort()


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / _MIB


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def rows_of_siege(siege: Siege) -> list[Row]:
    """The table's part."""
    growth = siege.growth()
    answered = not siege.unanswered and not siege.refused
    figure = siege.good - siege.refused.total()
    rows = [
        Row("good calls beside hostile ones", siege.good + siege.unanswered, "calls"),
        Row("  answered", figure, "calls", "all", answered),
        Row("  p50", round(siege.p50_ms, 1), "ms"),
        Row("  slowest", round(siege.worst_ms), "ms"),
        Row(f"  bombs of {len(siege.bombs)} kinds", siege.bombs.total(), "requests"),
        Row("  bombs answered wrongly", siege.wrong.total(), "requests", "0", not siege.wrong),
        Row("  calls whose callers hung up", siege.hung_up, "calls"),
        Row("  half-open connections at any time", HALF_OPEN, "connections"),
        Row("  memory at the start", round(siege.memory_at_start, 1), "MiB"),
        Row("  memory at its peak", round(siege.peak, 1), "MiB"),
        Row("  memory at the end", round(siege.quiet[-1][1], 1), "MiB"),
        Row(
            "  memory per 1 000 good calls",
            round(growth, 2),
            "MiB",
            f"<= {MEMORY_GOAL_MB:.0f}",
            growth <= MEMORY_GOAL_MB,
        ),
        Row("  open files before", siege.files_before, "files"),
        Row("  open files after", siege.files_after, "files", "<= before + 40", _no_leak(siege)),
    ]
    rows += [Row(f"    {what}", count, "requests") for what, count in siege.wrong.most_common(8)]
    rows += [Row(f"    bombs refused: {code}", count) for code, count in siege.codes.most_common()]
    return rows + rows_of_rules(siege.judged.figures.violations, (*RULES, BAD_RECEIPT, INCONSISTENT, BAD_LOG))


def _no_leak(siege: Siege) -> bool:
    """Good callers' and upstream connections may still stand."""
    return siege.files_after <= siege.files_before + 40
