"""The same case through a real gateway: daemon, cages, wire, people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.config.contracting import add_contract
from toolward.errors import ToolwardError
from toolward.lab.demo.agent import Agent, NotAnswered
from toolward.lab.rugpull.cases import Play
from toolward.lab.rugpull.stage import Stage
from toolward.lab.running_ward import RunningWard, fresh_ward, running_ward
from toolward.model.contract import Contract, Expectation, Must

SEEN_WITHIN_S: Final = 10.0
"""How long an announced change may take to be heard; it takes a twentieth of a second."""
_PAUSE_S: Final = 0.02
AGED_S: Final = 1.2
"""After it a comparison is too old for a call that writes: the wards here say `definitions_max_age_s: 1`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of the attack. `answered` is the text of a call that was let through."""

    code: str  # of the refusal
    state: str  # of the tool
    findings: tuple[str, ...]
    refused_approval: bool = False
    listed: bool = False  # whether the poisoned definition reached the agent
    worked_before: bool = True
    answered: str = ""


async def attack_through(stage: Stage) -> Seen:
    """Play the case. Raises `ToolwardError` for a ward that does not start."""
    ward = fresh_ward(stage.folder / "ward", stage.config(("hostile",)))
    if stage.case.play is Play.ARRIVAL:
        return await _arrive(stage, ward)
    if stage.case.play in (Play.RESTART, Play.FILE):
        return await _over_a_restart(stage, ward)
    async with running_ward(ward) as running:
        if stage.case.play is Play.BEFORE_APPROVAL:
            await running.house.parts.drift.refresh("hostile")
            rows = await running.desk("tools.list", {"server": "hostile"})
            stage.turn()
            wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
            await running.desk("tools.approve", {"tools": wanted})
            return await _seen(stage, running)
        await running.approve_all("hostile")
        if stage.case.play is Play.BEHAVIOUR:
            await _promise(stage, running, ward)
        async with _agent(running) as agent:
            before = await asyncio.to_thread(_call, agent, "forecast")
            await asyncio.to_thread(agent.tools)
            await _turn(stage, running, agent)
            found = await _seen(stage, running, agent)
        return replace(found, worked_before=not before[0])


async def _turn(stage: Stage, running: RunningWard, agent: Agent) -> None:
    """Let it turn as the case says, and whoever looks look."""
    play, watch = stage.case.play, running.house.parts.drift
    before = watch.announcements("hostile")
    for _ in range(stage.case.turn_at_call - 1):
        await asyncio.to_thread(_call, agent, "forecast")
    if not stage.case.turn_at_call:
        stage.turn()
    if play is Play.SILENT:
        await asyncio.sleep(AGED_S)
    elif play is Play.BEHAVIOUR:
        await running.desk("tools.probe", {})
    else:
        async with asyncio.timeout(SEEN_WITHIN_S):  # then the next call compares first
            while watch.announcements("hostile") == before:  # noqa: ASYNC110 -- a daemon tells no lab
                await asyncio.sleep(_PAUSE_S)
        if play is Play.BACK:
            await watch.refresh("hostile")
            stage.turn_back()
            await watch.refresh("hostile")


async def _over_a_restart(stage: Stage, ward: Path) -> Seen:
    async with running_ward(ward) as running:
        await running.approve_all("hostile")
        async with _agent(running) as agent:
            before = await asyncio.to_thread(_call, agent, "forecast")
    stage.turn()
    async with running_ward(ward) as running:
        return replace(await _seen(stage, running), worked_before=not before[0])


async def _arrive(stage: Stage, ward: Path) -> Seen:
    """An honest server is approved; later the hostile one is added, and somebody approves all there is."""
    async with running_ward(fresh_ward(ward, stage.config(("honest",)))) as running:
        await running.approve_all("honest")
    (ward / "toolward.yaml").write_bytes(orjson.dumps(stage.config(("honest", "hostile"))))
    async with running_ward(ward) as running:
        await running.house.parts.drift.refresh("hostile")
        found = await _seen(stage, running)
        refused = False
        if stage.case.blocks:
            wanted = [{"tool": f"hostile/{stage.case.call}"}]
            try:
                await running.desk("tools.approve", {"tools": wanted})
            except ToolwardError as error:
                refused = error.reason.code.value == "finding_not_accepted"
        return replace(found, refused_approval=refused)


async def _promise(stage: Stage, running: RunningWard, ward: Path) -> None:
    """What a person records of an honest answer."""
    text = stage.case.answers["forecast"]
    expect = (Expectation(at="/content/0/text", must=Must.EQUAL, value=text),)
    add_contract(ward, Contract(tool="hostile/forecast", name="today", arguments={}, expect=expect))
    await running.desk("reload", {})
    await running.desk("tools.probe", {})


async def _seen(stage: Stage, running: RunningWard, agent: Agent | None = None) -> Seen:
    """What an agent and a person see now."""
    if agent is None:
        async with _agent(running) as own:
            return await _seen(stage, running, own)
    code, text = await asyncio.to_thread(_call, agent, stage.case.call)
    listed = await asyncio.to_thread(agent.tools)
    rows = await running.desk("tools.list", {"server": "hostile"})
    row = next((each for each in rows if each["name"] == stage.case.call), None)
    poisoned = [dict(each) for each in (stage.case.after or stage.case.before)]
    shown = [{**each, "name": each["name"].partition("__")[2]} for each in listed.values()]
    return Seen(
        code=code,
        state=row["state"] if row is not None else "unknown",
        findings=tuple(each["id"] for each in row["findings"]) if row is not None else (),
        listed=stage.case.after != () and any(each in poisoned for each in shown),
        answered=text,
    )


def _call(agent: Agent, name: str) -> tuple[str, str]:
    """The code of a refusal or '', and what was answered; by a name that may not be listed any more."""
    try:
        answer = agent.call(f"hostile__{name}", city="Bern")
    except NotAnswered as error:
        return str(error), ""
    return answer.code, "" if answer.code else answer.text


@asynccontextmanager
async def _agent(running: RunningWard) -> AsyncIterator[Agent]:
    made: dict[str, Any] = await running.desk("keys.create", {"agent": "traveller"})
    agent = await asyncio.to_thread(Agent, f"{running.url}/mcp", made["token"])
    try:
        yield agent
    finally:
        agent.close()
