"""Rollback where nobody knows what became of a try: never a second effect, never an effect lost from sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.corridor.test_rollback import SECOND, act, roll_back
from tests.harness import OPERATOR, World, code_of, text_result
from tests.rollback_world import MANIFESTS, WARD, Things, undoable_world, unreached

from toolward.errors import Rejected
from toolward.model.call import Failed, RawOutcome, Returned, Stopped

PROBE = "      probe: {tool: has, arguments: {order: /input/order}}\n"
NO_PROBE = {"tools/shop.yaml": MANIFESTS["tools/shop.yaml"].replace(PROBE, "")}
"""`place` can be cancelled, and nothing tells whether it was."""
PLACE = ("shop/place", {"order": "7"})
NOTE = ("shop/note", {"text": "hello"})


def after_doing(things: Things, outcome: RawOutcome) -> Any:
    """A tool that does its work and answers with `outcome`."""

    async def run(permit: Any, *_: object) -> RawOutcome:
        name = permit.labelled.resolved.name
        getattr(things, f"_{name}")(**orjson.loads(permit.labelled.call.arguments_json))
        return outcome

    return run


def answering(outcome: RawOutcome) -> Any:
    """A tool that does nothing and answers with `outcome`."""

    async def run(*_: object) -> RawOutcome:
        return outcome

    return run


ERROR = Returned(result={**text_result("the receipt mail failed"), "isError": True}, size_bytes=1)
LOST = Stopped(reason="timed_out", message="no answer in time")


# --- what an error tells


@pytest.mark.parametrize(
    "outcome",
    [
        ERROR,
        Failed(code=-32000, message="no", reason="tool_failed"),
        Failed(code=-32000, message="no", reason="tool_failed", data={"code": "overloaded"}),
        LOST,
    ],
)
async def test_an_error_of_the_tools_own_is_not_tried_again_where_nothing_tells_what_it_did(
    tmp_path: Path, outcome: RawOutcome
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, files=NO_PROBE) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        world.upstreams.answers["shop/cancel"] = after_doing(things, outcome)
        row = await roll_back(world, session)
        assert (row["state"], things.done["cancel 7"]) == ("NEEDS_HUMAN", 1)
        assert "nothing can tell" in row["steps"][call_id]["note"]


async def test_a_tool_that_was_never_reached_is_tried_again(tmp_path: Path) -> None:
    """The control of the one above."""
    things = Things()
    async with undoable_world(tmp_path, things, files=NO_PROBE) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        world.upstreams.answers["shop/cancel"] = answering(unreached())
        row = await roll_back(world, session)
        assert "tried 3 times" in row["steps"][call_id]["note"]


async def test_an_error_after_the_work_was_done_is_seen_through_by_the_probe(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, PLACE)
        world.upstreams.answers["shop/cancel"] = after_doing(things, ERROR)
        row = await roll_back(world, session)
        assert (row["state"], things.done["cancel 7"]) == ("COMPENSATED", 1)


# --- the other way


@pytest.mark.parametrize("otherwise", ["", "{tool: cancel, arguments: {order: /key}}"])
async def test_the_other_way_is_not_taken_after_a_try_of_which_nobody_knows_what_became(
    tmp_path: Path, otherwise: str
) -> None:
    """Not even where one of the two is told the step's key: no key makes two tools one effect."""
    things, declared = Things(), "{tool: hide, arguments: {note: /output/structuredContent/id}}"
    files = {"tools/shop.yaml": MANIFESTS["tools/shop.yaml"].replace(declared, otherwise or declared)}
    async with undoable_world(tmp_path, things, files=files) as world:
        session = await world.session()
        await act(world, session, NOTE)
        world.upstreams.answers["shop/strike"] = after_doing(things, LOST)
        row = await roll_back(world, session)
        assert row["state"] == "NEEDS_HUMAN"
        assert sorted(things.done) == ["note hello", "strike id-hello"]
        world.upstreams.answers["shop/strike"] = things.run
        row = await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR)
        assert (row["state"], things.done["strike id-hello"]) == ("COMPENSATED", 1), "by its key"


async def test_the_other_way_is_taken_once_the_probe_says_that_the_first_did_nothing(tmp_path: Path) -> None:
    things = Things()
    declared = "attempts_max: 3}"
    files = {
        "tools/shop.yaml": MANIFESTS["tools/shop.yaml"].replace(
            declared,
            "attempts_max: 3, otherwise: {tool: strike, arguments: {note: /input/order, key: /key}}}",
        )
    }
    async with undoable_world(tmp_path, things, files=files) as world:
        session = await world.session()
        await act(world, session, PLACE)
        world.upstreams.answers["shop/cancel"] = answering(LOST)
        assert (await roll_back(world, session))["state"] == "COMPENSATED"
        assert things.done["strike 7"] == 1


async def test_the_key_of_the_first_tool_says_nothing_of_the_other_one(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, NOTE)
        world.upstreams.answers["shop/strike"] = answering(unreached())
        world.upstreams.answers["shop/hide"] = after_doing(things, LOST)
        row = await roll_back(world, session)
        assert row["state"] == "NEEDS_HUMAN"
        world.upstreams.answers["shop/strike"] = things.run
        row = await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR)
        assert row["state"] == "NEEDS_HUMAN"
        assert sorted(things.done) == ["hide id-hello", "note hello"]


# --- what is in doubt is not planned anew


async def test_no_new_rollback_while_an_earlier_one_may_have_undone_a_step(tmp_path: Path) -> None:
    """A new plan has new keys, and knows nothing of the try."""
    things = Things()
    async with undoable_world(tmp_path, things, files=NO_PROBE) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        world.upstreams.answers["shop/cancel"] = after_doing(things, LOST)
        row = await roll_back(world, session)
        with pytest.raises(Rejected, match="not known") as refused:
            await roll_back(world, session)
        assert refused.value.reason.code == "in_progress"
        assert row["rollback_id"] in refused.value.reason.remedy
        assert things.done["cancel 7"] == 1
        for person in (OPERATOR, SECOND):
            row = await world.house.rollbacks.accept(
                row["rollback_id"], call_id, reason="it is cancelled", by=person
            )
        assert row["state"] == "PARTIALLY_COMPENSATED"


async def test_after_a_step_that_surely_was_not_undone_both_a_retry_and_a_new_rollback_work(
    tmp_path: Path,
) -> None:
    for again in ("retry", "run"):
        things = Things()
        async with undoable_world(tmp_path / again, things, files=NO_PROBE) as world:
            session = await world.session()
            await act(world, session, PLACE)
            world.upstreams.answers["shop/cancel"] = answering(unreached())
            row = await roll_back(world, session)
            assert row["state"] == "NEEDS_HUMAN"
            world.upstreams.answers["shop/cancel"] = things.run
            if again == "retry":
                row = await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR)
            else:
                row = await roll_back(world, session)
            assert (row["state"], things.done["cancel 7"]) == ("COMPENSATED", 1), again


# --- incidents


ON_INCIDENT = {"toolward.yaml": WARD + "rollback: {on: [incident]}\n"}


async def quarantine(world: World, tool: str) -> None:
    registry = world.house.parts.registry
    pin = registry.pin(tool)
    assert pin is not None
    await registry.quarantine(tool, pin.digest, "it did harm")
    await world.house.background.drain()


async def test_an_incident_takes_back_sessions_that_wrote_with_a_tool_that_nothing_undoes(
    tmp_path: Path,
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, files=ON_INCIDENT) as world:
        struck, bystander = await world.session(), await world.session()
        await act(world, struck, PLACE, ("shop/sell", {"item": "pen"}))
        await act(world, bystander, ("shop/place", {"order": "8"}))
        await quarantine(world, "shop/sell")
        [row] = world.house.rollbacks.rows()
        assert (row["session_id"], row["state"]) == (struck, "PARTIALLY_COMPENSATED")
        assert [left["tool"] for left in row["residuals"]] == ["shop/sell"]
        assert things.orders == {"8"}


async def test_what_breaks_for_one_session_leaves_the_others_their_rollback(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, files=ON_INCIDENT) as world:
        first, second = sorted([await world.session(), await world.session()])
        await act(world, first, ("shop/place", {"order": "1"}))
        await act(world, second, ("shop/place", {"order": "2"}))
        world.house.rollbacks._journal.fences.sessions.add(first)  # somebody rolls it back at this moment
        await quarantine(world, "shop/place")
        assert [row["session_id"] for row in world.house.rollbacks.rows()] == [second]
        assert things.orders == {"1"}


# --- what undo may use


async def test_an_undo_that_needs_a_tool_nobody_approved_is_not_promised(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, approved=False) as world:
        registry = world.house.parts.registry
        for server in world.upstreams.names():
            await world.house.parts.drift.refresh(server)
        for pin in list(registry.pins()):
            if pin.key != "shop/cancel":
                await registry.approve(pin.key, by=OPERATOR)
        await world.house.desk.reload(OPERATOR)
        session = await world.session()
        reply = await world.call(session, *PLACE)
        assert code_of(reply) == "not_undoable"
        assert reply.error is not None
        assert "toolward tools approve shop/cancel" in reply.error.data["remedy"]
        assert things.done == {}
        await registry.approve("shop/cancel", by=OPERATOR)
        await world.house.desk.reload(OPERATOR)
        await act(world, session, PLACE)
        assert (await roll_back(world, session))["state"] == "COMPENSATED"
