"""Every Nth write and sync fails under concurrent calls: refused, explained, settled after a restart."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolward.adapters.stores.sqlite import DATABASE
from toolward.errors import AuditUnavailable, ReasonCode, ToolwardError
from toolward.governance.verify import verify_store
from toolward.lab.faulty_disk import Fault, FaultyDisk
from toolward.lab.report import Row
from toolward.lab.torture.evidence import READ, RULES, WRITE, Effect, Violation
from toolward.lab.torture.gather import BAD_LOG, BAD_RECEIPT, INCONSISTENT, Answer
from toolward.lab.torture.house import NOT_DURABLE, Talk, fragile_house, judge_house, open_talk
from toolward.lab.torture.kills import rows_of_rules
from toolward.lab.torture.ward import furnish, write_ward

CALLERS: Final = 16
SWEEP: Final = (*range(1, 31), 35, 40, 50, 65, 80, 100, 130, 170)
"""Which operation after the start of the load fails; the later ones meet whole groups of calls."""
STARTING: Final = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 60, 80)
"""Which operation of opening, recovering and starting fails."""
CHECKPOINTING: Final = (1, 5, 60)
"""Which operation on the database file itself fails, when the write-ahead log is moved into it."""
_CALLS: Final = 12
_CALLS_TO_CHECKPOINT: Final = 160

WRONG_REFUSAL: Final = "calls that fail for the disk say audit_unavailable"
UNHEALTHY: Final = "health says why"
RAN_ON: Final = "nothing runs once the log has stopped"
STUCK: Final = "the gateway serves again after a restart"
OWN_RULES: Final = (NOT_DURABLE, WRONG_REFUSAL, UNHEALTHY, RAN_ON, STUCK)
DISK_RULES: Final = (*RULES, *OWN_RULES, BAD_RECEIPT, INCONSISTENT, BAD_LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One way in which the disk fails. `starting`: while the ward is opened, else under load."""

    fail_at: int
    fault: Fault = Fault.BROKEN
    lasting: bool = False
    starting: bool = False
    only: str = ""
    calls: int = _CALLS

    def text(self) -> str:
        """For a person."""
        when = "of the start" if self.starting else "of the load"
        where = f" on {self.only}" if self.only else ""
        return f"{self.fault} at operation {self.fail_at} {when}{where}{', lasting' * self.lasting}"


@dataclass(slots=True)
class Sweep:
    """What was counted over all rounds."""

    rounds: int = 0
    struck: int = 0
    refused: int = 0
    refused_starts: int = 0
    calls: int = 0
    violations: list[Violation] = field(default_factory=list)


def all_troubles(*, few: bool) -> Iterator[Trouble]:
    """The whole sweep, or a few of each kind."""
    step = 15 if few else 1
    for fault in Fault:
        for lasting in (False, True):
            for number in SWEEP[::step]:
                yield Trouble(fail_at=number, fault=fault, lasting=lasting)
            for number in STARTING[::step]:
                yield Trouble(fail_at=number, fault=fault, lasting=lasting, starting=True)
            for number in () if few else CHECKPOINTING:
                yield Trouble(
                    fail_at=number, fault=fault, lasting=lasting, only=DATABASE, calls=_CALLS_TO_CHECKPOINT
                )


async def torture_by_disks(place: Path, *, seed: int, few: bool, say: Callable[[str], None]) -> Sweep:
    """Every trouble on a fresh copy of one ward, below `place`."""
    chance = random.Random(seed)
    template = await furnished(place / "template")
    sweep = Sweep()
    troubles = list(all_troubles(few=few))
    for number, trouble in enumerate(troubles, 1):
        path = place / "ward"
        shutil.copytree(template, path)
        await _round(path, trouble, sweep, chance)
        shutil.rmtree(path)
        if number % 40 == 0 or number == len(troubles):
            say(f"{number}/{len(troubles)} failing disks, {sweep.refused} calls refused")
    return sweep


async def furnished(path: Path) -> Path:
    """A ward whose tools are approved, closed again."""
    write_ward(path, 9)
    async with fragile_house(path) as (house, _):
        await furnish(house)
    return path


async def _round(path: Path, trouble: Trouble, sweep: Sweep, chance: random.Random) -> None:
    sweep.rounds += 1
    disk = FaultyDisk(fault=trouble.fault, lasting=trouble.lasting, only=trouble.only)
    if trouble.starting:
        disk.fail_at = trouble.fail_at
    answers: list[Answer] = []
    effects: list[Effect] = []
    found: list[Violation] = []
    try:
        async with fragile_house(path, disk.name) as (house, witness):
            effects, found = witness.effects, witness.violations
            talk = await open_talk(house, f"d{sweep.rounds}", chance)
            answers = talk.answers
            if not trouble.starting:
                disk.fail_at = disk.operations + trouble.fail_at
            await talk.crowd(CALLERS, trouble.calls)
            if talk.refused:
                found += await _after_refusals(talk, disk, effects)
    except ToolwardError as error:
        if not disk.failures:
            raise
        sweep.refused_starts += 1
        found += _wrong_start(error, trouble)
    found += await after_restart(path, answers, effects, chance)
    sweep.struck += disk.failures > 0
    sweep.calls += len(answers)
    sweep.refused += sum(bool(each.code) for each in answers)
    sweep.violations += [Violation(each.rule, f"{trouble.text()}: {each.text}") for each in found]


async def _after_refusals(talk: Talk, disk: FaultyDisk, effects: list[Effect]) -> list[Violation]:
    """While the process still runs: what callers are told, and that nothing runs any more."""
    codes = {each.code for each in talk.answers} - {"", ReasonCode.AUDIT_UNAVAILABLE.value}
    found = [Violation(WRONG_REFUSAL, f"a call was refused as {code}") for code in sorted(codes)]
    if disk.fault is Fault.FULL and not disk.lasting:
        return found  # there was room again: it serves, and is right to
    health = talk.gateway.gateway.health()
    if health is None or not health.remedy or len(health.text) < len("disk"):
        found.append(Violation(UNHEALTHY, f"health is {health}"))
    before = sum(each.tool == WRITE for each in effects)
    later = [(await talk.call(WRITE)).code for _ in range(3)]
    if set(later) != {ReasonCode.AUDIT_UNAVAILABLE.value}:
        found.append(Violation(WRONG_REFUSAL, f"later calls were answered with {later}"))
    if sum(each.tool == WRITE for each in effects) != before:
        found.append(Violation(RAN_ON, "a write ran after the log had stopped"))
    return found


def _wrong_start(error: ToolwardError, trouble: Trouble) -> list[Violation]:
    """A start that a failing disk refuses must blame the disk, and nobody's tampering."""
    if not trouble.starting and not isinstance(error, AuditUnavailable):
        return [Violation(WRONG_REFUSAL, f"opening a session failed with {error}")]
    if error.reason.code is ReasonCode.INTEGRITY_BROKEN:
        return [Violation(WRONG_REFUSAL, f"the start was refused as {error}")]
    return []


async def after_restart(
    path: Path, answers: list[Answer], effects: list[Effect], chance: random.Random
) -> list[Violation]:
    """Open the ward again on a sound disk: recovery has settled everything, and calls are served."""
    try:
        async with fragile_house(path) as (house, _):
            found = judge_house(house, answers, effects)
            verdict = verify_store(house.store, house.store.verifier_key())
            if not verdict.ok:
                found.append(Violation(BAD_LOG, verdict.sentence()))
            talk = await open_talk(house, "again", chance)
            for tool in (WRITE, READ):
                if (answer := await talk.call(tool)).code:
                    found.append(Violation(STUCK, f"a {tool} was answered with `{answer.code}`"))
            return found
    except ToolwardError as error:
        return [Violation(STUCK, error.diagnostics())]


def rows_of_disks(sweep: Sweep) -> list[Row]:
    """The table's part."""
    rows = [
        Row("failing disks under load", sweep.rounds, "rounds"),
        Row("  of them with a failure that struck", sweep.struck, "rounds"),
        Row("  calls", sweep.calls, "calls"),
        Row("  of them refused", sweep.refused, "calls"),
        Row("  starts refused", sweep.refused_starts, "starts"),
    ]
    return rows + rows_of_rules(sweep.violations, DISK_RULES)
