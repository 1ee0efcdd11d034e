"""A disk that is really full: a tmpfs of a few megabytes in a mount namespace of its own.

    unshare -m python -m toolward.lab.torture.tiny_disk PLACE SEED      prints what was found as JSON

Needs root for the mount, which no other process sees.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from toolward.errors import ReasonCode, ToolwardError
from toolward.lab.torture.disks import (
    CALLERS,
    STUCK,
    UNHEALTHY,
    WRONG_REFUSAL,
    Sweep,
    after_restart,
    furnished,
)
from toolward.lab.torture.evidence import Violation
from toolward.lab.torture.house import Talk, fragile_house, open_talk

SIZE: Final = "8m"
ROOM_BYTES: Final = (0, 4_096, 40_000, 150_000)
"""What is left free when the load begins: nothing, a page, a group commit, several."""
_CALLS: Final = 6
_SMALL_ONES_MAX: Final = 200
"""Single calls until one is refused: a commit of one may still fit where a group did not, and is health."""
_BLOCK: Final = bytes(4_096)


def fill(ballast: Path, room: int) -> None:
    """Take all the space of the disk but `room` bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(_BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(file.tell() - room, 0))


async def torture_by_tiny_disk(place: Path, seed: int) -> Sweep:
    """`place` is a small disk of its own."""
    sweep = Sweep()
    chance = random.Random(seed)
    for room in ROOM_BYTES:
        ward, ballast = place / f"ward-{room}", place / "ballast"
        await furnished(ward)
        async with fragile_house(ward) as (house, witness):
            talk = await open_talk(house, f"t{room}", chance)
            await talk.crowd(CALLERS, _CALLS)
            found = [] if not talk.refused else [Violation(WRONG_REFUSAL, "refused with room on the disk")]
            fill(ballast, room)
            found += await _on_full_disk(talk)
            ballast.unlink()
            if (answer := await talk.call("write")).code or house.gateway.health() is not None:
                found.append(Violation(STUCK, f"with room again a write was answered with `{answer.code}`"))
            fill(ballast, 0)
            await talk.crowd(CALLERS, _CALLS)
        found += witness.violations
        found += await _start_on_full_disk(ward)
        ballast.unlink()
        found += await after_restart(ward, talk.answers, witness.effects, chance)
        sweep.rounds += 1
        sweep.struck += bool(talk.refused)
        sweep.calls += len(talk.answers)
        sweep.refused += len(talk.refused)
        sweep.violations += [Violation(each.rule, f"{room} bytes left: {each.text}") for each in found]
    return sweep


async def _on_full_disk(talk: Talk) -> list[Violation]:
    await talk.crowd(CALLERS, 4 * _CALLS)
    for _ in range(_SMALL_ONES_MAX):  # the last group may have been small enough for what was left
        if (await talk.call("write")).code:
            break
    found = []
    codes = {each.code for each in talk.answers} - {"", ReasonCode.AUDIT_UNAVAILABLE.value}
    found += [Violation(WRONG_REFUSAL, f"a call was refused as {code}") for code in sorted(codes)]
    health = talk.gateway.gateway.health()
    if not talk.refused or health is None or "full" not in health.text:
        found.append(Violation(UNHEALTHY, f"on a full disk health is {health}"))
    return found


async def _start_on_full_disk(ward: Path) -> list[Violation]:
    """It may be refused, if it says why."""
    try:
        async with fragile_house(ward):
            return []
    except ToolwardError as error:
        if "full" in error.diagnostics() or "space" in error.diagnostics():
            return []
        return [Violation(UNHEALTHY, f"a start on a full disk says: {error.diagnostics()}")]


def main() -> None:
    """Mount, torture, and print the sweep. The mount ends with the namespace."""
    place, seed = Path(sys.argv[1]), int(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], check=True)
    if not os.path.ismount(place):
        raise RuntimeError("the small disk could not be mounted")
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(torture_by_tiny_disk(place, seed))))


if __name__ == "__main__":
    main()
