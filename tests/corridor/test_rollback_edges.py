"""Rollback where nobody knows what became of a try: never a second effect, never an effect lost from sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.corridor.test_rollback import act, roll_back
from tests.harness import OPERATOR, text_result
from tests.rollback_world import MANIFESTS, Things, undoable_world, unreached

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
