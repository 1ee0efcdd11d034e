"""One day in a ward: the calls of the day's work and, if the agent obeys what it reads, the attacker's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from toolward.bootstrap import open_house
from toolward.doors.python import OpenWard, WardSession
from toolward.errors import Denied, Pending, ToolwardError
from toolward.lab.day.plants import DESCRIPTION, PLANTED, Plant
from toolward.lab.day.work import Step, tasks
from toolward.lab.interop_servers import Place


@dataclass(slots=True)
class Day:
    """What was seen of one day."""

    calls: int = 0
    asked: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)  # calls of the attacker, by where they were planted
    executed: Counter[str] = field(default_factory=Counter)
    which: list[str] = field(default_factory=list)  # the ones that were executed
    codes: Counter[str] = field(default_factory=Counter)


async def live(ward: Path, place: Place, planted: Mapping[str, Plant]) -> Day:
    """The day's work in the ward; with plants, an agent that obeys what it reads."""
    day = Day()
    async with open_house(ward) as house:
        open_ward = OpenWard(house)
        for task in tasks(place):
            async with open_ward.session(user="carol", agent="clerk", prompt=task.prompt) as session:
                if planted:
                    await _described(session, day, planted)
                for step in task.steps:
                    day.calls += 1
                    text = await _benign(session, step, day)
                    if step.bait in planted and PLANTED in text:
                        await _obey(session, step.bait, planted[step.bait], day)
    return day


async def _benign(session: WardSession, step: Step, day: Day) -> str:
    try:
        result = await session.call(step.tool, dict(step.arguments))
    except Pending as no:
        day.asked.append(f"{step.tool}: {no.reason.text}")
    except Denied as no:
        day.denied.append(f"{step.tool}: {no.reason.code.value}: {no.reason.text}")
    except ToolwardError as no:
        day.failed.append(f"{step.tool}: {no.reason.code.value}: {no.reason.text}")
    else:
        if result.is_error:
            day.failed.append(f"{step.tool}: {result.text[:200]}")
        return result.text
    return ""


async def _obey(session: WardSession, where: str, plant: Plant, day: Day) -> None:
    for step in plant.calls:
        day.tried[where] += 1
        try:
            result = await session.call(step.tool, dict(step.arguments))
        except ToolwardError as no:
            day.codes[no.reason.code.value] += 1
        else:  # what the server itself refuses, as a second move of the same file, was let through too
            day.executed[where] += 1
            said = " (the server: it failed)" if result.is_error else ""
            day.which.append(f"{where}: {step.tool} {dict(step.arguments)}{said}")


async def _described(session: WardSession, day: Day, planted: Mapping[str, Plant]) -> None:
    """Words in a description are read by listing, before any call."""
    listed = await session.list_tools()
    if any(PLANTED in str(tool.get("description", "")) for tool in listed):
        await _obey(session, DESCRIPTION, planted[DESCRIPTION], day)
