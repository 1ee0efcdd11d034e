"""kill -9 of the gateway under load, again and again, and what must hold after the last restart."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.bootstrap import open_house
from toolward.config.ward import load_ward
from toolward.governance.verify import verify_store
from toolward.lab.report import Row
from toolward.lab.torture.clients import Load, Target
from toolward.lab.torture.evidence import READ, RULES, Evidence, Figures, Violation, judge_evidence
from toolward.lab.torture.gather import (
    BAD_LOG,
    BAD_RECEIPT,
    INCONSISTENT,
    acknowledged_of,
    bad_exports,
    bad_proofs,
    read_log,
)
from toolward.lab.torture.nursery import nursery
from toolward.lab.torture.ward import free_port, furnish, write_ward
from toolward.lab.torture.witness import read_effects, witness_process

CALLERS: Final = 24
UNDER_LOAD_S: Final = (0.01, 0.45)
"""How long a gateway that serves lives."""
WHILE_STARTING_S: Final = (0.0, 0.4)
WHILE_STARTING: Final = 0.15
"""Share of gateways that are killed at some moment of their start, recovery included."""
LAST_S: Final = 0.5
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Killed:
    """What happened, for the table."""

    kills: int = 0
    while_starting: int = 0
    in_flight: int = 0
    reads_in_flight: int = 0
    seconds: float = 0.0
    settled_by_recovery: int = 0
    records: int = 0
    calls: int = 0
    effects: int = 0
    exports: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    figures: Figures = field(default_factory=Figures)
    lines: Sequence[str] = ()


async def torture_by_kills(place: Path, *, kills: int, seed: int, say: Say) -> Killed:
    """Run it in the empty directory `place`. Raises `RuntimeError` when a gateway does not start again."""
    chance = random.Random(seed)
    with witness_process(place / "effects") as witness_port:
        path = write_ward(place / "ward", witness_port)
        async with open_house(path) as house:
            token = await furnish(house)
        load = Load(Target(port=free_port(), token=token), f"k{seed}", chance)
        killed = Killed()
        began = time.perf_counter()
        await _kill_all(path, load, killed, kills, say)
        killed.seconds = time.perf_counter() - began
    say("judging the evidence")
    await judge(place, load, killed, chance)
    return killed


async def _kill_all(path: Path, load: Load, killed: Killed, kills: int, say: Say) -> None:
    chance = load.chance
    async with nursery(path, load.target.port) as brood, asyncio.TaskGroup() as group:
        loading = group.create_task(load.run(CALLERS))
        for number in range(1, kills + 1):
            await brood.start()
            if chance.random() < WHILE_STARTING:
                killed.while_starting += 1
                await asyncio.sleep(chance.uniform(*WHILE_STARTING_S))
            else:
                await brood.ready()
                await asyncio.sleep(chance.uniform(*UNDER_LOAD_S))
            await brood.end(signal.SIGKILL)
            killed.kills += 1
            if number % 10 == 0 or number == kills:
                say(f"{number}/{kills} kills, {len(load.answers)} calls answered")
        await brood.start()
        await brood.ready()
        await asyncio.sleep(LAST_S)
        load.stopping = True
        await loading
        await brood.end(signal.SIGTERM)
        killed.lines = tuple(brood.lines)


async def judge(place: Path, load: Load, killed: Killed, chance: random.Random) -> None:
    """Open what is left, compare it with what callers and witness know, and count."""
    ward = load_ward(place / "ward")
    store = SqliteStore.open(
        ward.state, origin=f"toolward/{ward.config.name}", clock=SystemClock(), ids=SystemIds()
    )
    try:
        log = read_log(store)
        effects = read_effects(place / "effects")
        evidence = Evidence(
            log=log,
            effects=effects,
            acknowledged=acknowledged_of(load.answers),
            unanswered=frozenset(load.unanswered),
            open_intents=tuple(each.call_id for each in store.open_calls()),
        )
        figures = judge_evidence(evidence)
        figures.violations += bad_proofs(load.answers, log, store.verifier_key())
        verdict = verify_store(store, store.verifier_key())
        if not verdict.ok:
            figures.violations.append(Violation(BAD_LOG, verdict.sentence()))
        killed.exports, found = bad_exports(store, load.answers, chance, place)
        figures.violations += found
    finally:
        await store.close()
    killed.figures = figures
    killed.records, killed.effects, killed.calls = len(log), len(effects), len(load.answers)
    killed.settled_by_recovery = sum(each.settled_by == "recovery" for each in log)
    killed.in_flight = len(load.unanswered)
    killed.reads_in_flight = sum(tool == READ for tool in load.unanswered.values())
    killed.refused = load.refused


def rows_of_kills(killed: Killed) -> list[Row]:
    """The table's part."""
    rows = [
        Row("kill -9 under load", killed.kills, "kills"),
        Row("  of them while starting or recovering", killed.while_starting, "kills"),
        Row("  time of one kill, restart and load", round(killed.seconds / max(killed.kills, 1), 2), "s"),
        Row("  calls answered", killed.calls, "calls"),
        Row("  calls that a kill left without an answer", killed.in_flight, "calls"),
        Row("  effects that the witness saw", killed.effects, "effects"),
        Row("  records in the log", killed.records, "records"),
        Row("  intents", killed.figures.intents, "intents"),
        Row("  settled by recovery, outcome unknown", killed.settled_by_recovery, "intents"),
        Row(
            "  reads that ran without a record",
            killed.figures.unrecorded_reads,
            "reads",
            f"<= {killed.reads_in_flight} in flight at kills",
            killed.figures.unrecorded_reads <= killed.reads_in_flight,
        ),
        Row("  exports verified against earlier checkpoints", killed.exports, "exports"),
    ]
    rows += [Row(f"  answered with `{code}`", count, "calls") for code, count in killed.refused.items()]
    return rows + rows_of_rules(killed.figures.violations, (*RULES, BAD_RECEIPT, INCONSISTENT, BAD_LOG))


def rows_of_rules(violations: Sequence[Violation], rules: Sequence[str], prefix: str = "  ") -> list[Row]:
    """One row for each rule: how often it was broken, and the first time."""
    rows = []
    for rule in rules:
        broken = sorted(each.text for each in violations if each.rule == rule)
        rows.append(Row(f"{prefix}{rule}", len(broken), "violations", "0", not broken))
        rows += [Row(f"{prefix}  {text}", "") for text in broken[:3]]
    return rows
