"""Rollback beside seals, escrow and frontiers: what was accepted stays, what is held is called off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.corridor.test_races import Gate
from tests.harness import OPERATOR, World, code_of, open_world
from tests.safeguards_world import ALICE, BOB, SEND, ran, safeguarded, tools

from toolward.errors import Rejected
from toolward.governance.desk import invoke
from toolward.model.event import EventKind


async def put(world: World, session: str, table: str) -> str:
    reply = await world.call(session, "db/put", {"table": table, "row": "1"}, principal=ALICE)
    assert reply.error is None
    return reply.call_id


async def roll_back(world: World, session: str, **more: str) -> dict[str, object]:
    found: dict[str, object] = await invoke(
        world.house.desk, "sessions.rollback", {"session": session, **more}, OPERATOR
    )
    return found


async def test_a_rollback_lets_go_of_resources_and_calls_off_what_is_held(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        world.house.parts.safeguards.frontiers.wait_s = 0.0
        mine, theirs = await world.session(ALICE), await world.session(BOB)
        await put(world, mine, "t")
        assert code_of(await world.call(mine, *SEND, principal=ALICE)) == "held_in_escrow"
        taken = await world.call(theirs, "db/put", {"table": "t", "row": "2"}, principal=BOB)
        assert code_of(taken) == "resource_conflict"
        await roll_back(world, mine)
        assert (await world.call(theirs, "db/put", {"table": "t", "row": "2"}, principal=BOB)).error is None
        world.clock.advance(601)
        assert await world.house.parts.safeguards.releases.tick() == 0
        assert ran(world, "mail/send") == []
        assert world.records("escrow.ended")[-1]["how"] == "cancelled"


@pytest.mark.parametrize("at", [EventKind.ROLLBACK_PLANNED, EventKind.ROLLBACK_ENDED])
async def test_what_a_session_asks_for_while_it_is_rolled_back_is_refused_and_not_held(
    tmp_path: Path, at: EventKind
) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        mine, other = await world.session(ALICE), await world.session(BOB)
        await put(world, mine, "t")
        gate = Gate(world, at)
        rolling = asyncio.create_task(roll_back(world, mine))
        await gate.reached.wait()
        assert code_of(await world.call(mine, *SEND, principal=ALICE)) == "resource_fenced"
        assert code_of(await world.call(other, *SEND, principal=BOB)) == "held_in_escrow", "the control"
        gate.opened.set()
        await rolling
        assert world.house.parts.safeguards.releases.pending(mine) == []
        world.clock.advance(601)
        await world.house.parts.safeguards.releases.tick()
        assert len(ran(world, "mail/send")) == 1, "the other session's only"
        assert code_of(await world.call(mine, *SEND, principal=ALICE)) == "held_in_escrow", "new work"


async def test_what_was_sealed_is_not_undone(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        before = await put(world, session, "t")
        await invoke(world.house.desk, "sessions.seal", {"session": session}, OPERATOR)
        after = await put(world, session, "u")
        with pytest.raises(Rejected, match="before the seal"):
            await roll_back(world, session, to=before)
        row = await roll_back(world, session)
        residuals = row["residuals"]
        assert isinstance(residuals, list)
        assert [left["call_id"] for left in residuals] == [after], "the tool has no compensation, so it stays"


async def test_a_rollback_that_ends_while_a_seal_runs_lets_go_after_it(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        await put(world, session, "t")
        ending = Gate(world, EventKind.ROLLBACK_ENDED)
        rolling = asyncio.create_task(roll_back(world, session))
        await ending.reached.wait()
        sealing = Gate(world, EventKind.SESSION_SEALED)
        seal = asyncio.create_task(invoke(world.house.desk, "sessions.seal", {"session": session}, OPERATOR))
        await sealing.reached.wait()
        ending.opened.set()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not rolling.done()
        world.house.parts.safeguards.frontiers.wait_s = 0.01
        late = await world.call(session, "db/put", {"table": "t", "row": "2"}, principal=ALICE)
        assert code_of(late) in ("contested", "resource_fenced"), "fenced until it is let go"
        sealing.opened.set()
        await seal
        assert (await rolling)["state"] != "running"
        assert world.house.parts.safeguards.frontiers.held_by(session) == {}
        await put(world, session, "t")
