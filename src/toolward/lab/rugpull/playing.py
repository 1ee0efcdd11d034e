"""One case with its control, and whether it came out as it must."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from toolward.errors import ToolwardError
from toolward.lab.rugpull.cases import Case
from toolward.lab.rugpull.direct import attack_directly
from toolward.lab.rugpull.stage import Stage
from toolward.lab.rugpull.through import Seen, attack_through


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A case, with and without the gateway. `wrong` is empty when all is as it must be."""

    case: Case
    control: str  # how the attack works without the gateway; "" if it does not
    toolward: str
    wrong: str


async def play(case: Case, folder: Path) -> Played:
    """Play it in `folder / case.id`: the control first, then the gateway."""
    stage = Stage.make(case, folder / case.id)
    works, how = await asyncio.to_thread(attack_directly, stage)
    stage.forget()
    try:
        seen = await attack_through(stage)
    except (ToolwardError, TimeoutError, OSError) as error:
        return Played(case=case, control=how if works else "", toolward="", wrong=f"{error!r}"[:200])
    wrong = _wrong(case, seen) if works else "the attack does not work without the gateway either"
    return Played(case=case, control=how if works else "", toolward=_told(case, seen), wrong=wrong)


def _told(case: Case, seen: Seen) -> str:
    parts = [f"{seen.state}, call refused: {seen.code}" if seen.code else "the call was let through"]
    parts += [f"finding {each}" for each in seen.findings if each == case.finding]
    parts += ["approval refused: finding_not_accepted"] if seen.refused_approval else []
    return "; ".join(parts)


def _wrong(case: Case, seen: Seen) -> str:
    """What is not as it must be, the first of it."""
    checks = (
        (seen.worked_before, "the tool did not even work before it turned"),
        (seen.code == case.code, f"the call met `{seen.code or seen.answered}`, not `{case.code}`"),
        (not seen.listed, "the other definition was listed to the agent"),
        (not case.finding or case.finding in seen.findings, f"no finding {case.finding}: {seen.findings}"),
        (not case.blocks or seen.refused_approval, "the approval went through without a word"),
    )
    return next((text for holds, text in checks if not holds), "")
