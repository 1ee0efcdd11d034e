"""The power goes while calls run: the process dies at once, and the disk keeps only what was synced.

    python -m toolward.lab.torture.power PLACE SEED CUTS        prints what was found as JSON

Each gateway is forked from this process. When its disk reaches the chosen operation, everything since the
last sync of each file is taken back and the process kills itself with SIGKILL, in the middle of that very
operation. What it told its callers, and what its tool did, came here through a pipe before.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson
from typing_extensions import override

from toolward.adapters.stores.sqlite import DATABASE
from toolward.lab.faulty_disk import FaultyDisk
from toolward.lab.torture.disks import CALLERS, Sweep, after_restart, furnished
from toolward.lab.torture.evidence import Effect, Violation
from toolward.lab.torture.gather import Answer
from toolward.lab.torture.house import fragile_house, open_talk

CUT_BEFORE: Final = 900
"""Operations after the start of the load; a group commit needs some twenty."""
CUT_CHECKPOINT_BEFORE: Final = 200
"""Operations on the database file itself, from the first time that the log is moved into it."""
CHECKPOINTING: Final = 0.1
"""Share of cuts while the log is moved, which needs a longer load."""
_CALLS: Final = 40
_CALLS_TO_CHECKPOINT: Final = 160


class PoweredDisk(FaultyDisk):
    """A disk whose power goes at operation `cut_at`, and its computer's with it."""

    def __init__(self, only: str) -> None:
        super().__init__(only=only)
        self.cut_at = 0

    @override
    def step(self, path: str, *, writes: bool) -> None:
        super().step(path, writes=writes)
        if self.cut_at and self.operations >= self.cut_at:
            self.lose_power()
            os.kill(os.getpid(), signal.SIGKILL)


class _Told(list[Any]):
    """A list that says at once, through a pipe, what is put into it."""

    def __init__(self, pipe: int) -> None:
        super().__init__()
        self._pipe = pipe

    @override
    def append(self, item: Any) -> None:
        os.write(self._pipe, orjson.dumps({type(item).__name__: asdict(item)}) + b"\n")
        super().append(item)


async def _live(path: Path, pipe: int, seed: int) -> None:
    """A gateway under load, until its power goes."""
    chance = random.Random(seed)
    checkpointing = chance.random() < CHECKPOINTING
    disk = PoweredDisk(DATABASE if checkpointing else "")
    async with fragile_house(path, disk.name) as (house, witness):
        witness.effects = _Told(pipe)
        talk = await open_talk(house, f"p{seed}", chance)
        talk.answers = _Told(pipe)
        before = CUT_CHECKPOINT_BEFORE if checkpointing else CUT_BEFORE
        disk.cut_at = disk.operations + chance.randrange(1, before)
        await talk.crowd(CALLERS, _CALLS_TO_CHECKPOINT if checkpointing else _CALLS)


def _fork(path: Path, seed: int) -> tuple[bool, list[Answer], list[Effect]]:
    """One life. Returns whether the power went, and what was heard."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            asyncio.run(_live(path, writing, seed))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        heard = [orjson.loads(line) for line in pipe if line.endswith(b"\n")]
    _, status = os.waitpid(pid, 0)
    answers = [Answer(**each["Answer"]) for each in heard if "Answer" in each]
    effects = [Effect(**each["Effect"]) for each in heard if "Effect" in each]
    return os.WIFSIGNALED(status), answers, effects


def torture_by_power(place: Path, *, seed: int, cuts: int) -> Sweep:
    """`cuts` lives and deaths of one gateway after another, each on a copy of one ward."""
    template = asyncio.run(furnished(place / "template"))
    sweep = Sweep()
    for number in range(cuts):
        path = place / "ward"
        shutil.copytree(template, path)
        struck, answers, effects = _fork(path, seed + number)
        found = asyncio.run(after_restart(path, answers, effects, random.Random(seed)))
        shutil.rmtree(path)
        sweep.rounds += 1
        sweep.struck += struck
        sweep.calls += len(answers)
        sweep.violations += [Violation(each.rule, f"seed {seed + number}: {each.text}") for each in found]
    return sweep


def main() -> None:
    """Torture, and print the sweep."""
    place, seed, cuts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.stdout.buffer.write(orjson.dumps(torture_by_power(place, seed=seed, cuts=cuts)))


if __name__ == "__main__":
    main()
