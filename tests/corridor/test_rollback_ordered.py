"""What a policy orders, what people have settled, and what a ward asks a tool to show before it is believed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.corridor.test_rollback import SECOND, act, roll_back
from tests.harness import OPERATOR, World, code_of
from tests.rollback_world import MANIFESTS, WARD, Things, undoable_world

from toolward.errors import Denied, Rejected
from toolward.governance.desk import invoke
from toolward.model.rollback import Occasion
from toolward.ports.store import Table

PLACE = ("shop/place", {"order": "7"})
WIPE = ("disk/wipe", {"path": "/data/a"})
RULE = """\
@id("no-wiping") @reason("nothing is wiped here"){mark}
forbid (principal, action in Toolward::Action::"call", resource == Toolward::Tool::"disk/wipe");
"""


def ruled(mark: str = " @rollback") -> dict[str, str]:
    return {"policies/a.cedar": RULE.format(mark=mark)}


# --- a policy orders it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [" @rollback", ""])
async def test_a_rule_that_denies_can_have_the_session_taken_back(tmp_path: Path, mark: str) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, files=ruled(mark)) as world:
        session, other = await world.session(), await world.session()
        await act(world, session, PLACE, ("disk/write", {"path": "/data/a", "text": "new"}))
        await act(world, other, ("shop/place", {"order": "8"}))
        denied = await world.call(session, *WIPE)
        assert code_of(denied) == "denied"
        assert denied.error is not None
        assert ("rollback" in denied.error.data["details"]) is bool(mark), "the agent is told"
        await world.house.background.drain()
        if not mark:
            assert things.orders == {"7", "8"}, "the control: the same rule without the mark"
            return
        assert (things.orders, things.files) == ({"8"}, {"/data/a": "old a"}), "its own work, and no other's"
        [planned] = world.records("rollback.planned")
        assert planned["why"] == "policy: `no-wiping` denied wipe"
        assert planned["by"]["agent"] == "toolward-undo"
        kinds = [record["kind"] for record in world.records()]
        assert kinds.index("call.denied") < kinds.index("rollback.ended")


async def test_many_denials_at_once_make_one_rollback_and_none_where_nothing_is_left(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, files=ruled()) as world:
        session = await world.session()
        await act(world, session, PLACE)
        await asyncio.gather(*(world.call(session, *WIPE) for _ in range(20)))
        await world.house.background.drain()
        for _ in range(5):
            await world.call(session, *WIPE)
            await world.house.background.drain()
        assert things.done == {"place 7": 1, "cancel 7": 1}
        assert len(world.records("rollback.planned")) == 1
        assert world.house.problems == []


async def test_what_was_sealed_stays_and_a_hook_may_say_otherwise(tmp_path: Path) -> None:
    things, heard = Things(), list[tuple[Occasion, str]]()

    async def hook(occasion: Occasion, session_id: str, why: str) -> str | None:
        heard.append((occasion, session_id))
        return None if len(heard) == 1 else ""

    async with undoable_world(tmp_path, things, files=ruled(), rollback_hook=hook) as world:
        session = await world.session()
        await act(world, session, PLACE)
        await invoke(world.house.desk, "sessions.seal", {"session": session}, OPERATOR)
        await act(world, session, ("shop/place", {"order": "8"}))
        for orders in ({"7", "8"}, {"7"}):
            await world.call(session, *WIPE)
            await world.house.background.drain()
            assert things.orders == orders
        assert heard == [(Occasion.POLICY, session)] * 2


# --- what two people accepted ----------------------------------------------------------------------------


async def test_what_two_people_let_stay_is_not_planned_again_and_still_named(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        [accepted] = await act(world, session, PLACE)
        things.broken = {"cancel"}
        row = await roll_back(world, session)
        for person in (OPERATOR, SECOND):
            await world.house.rollbacks.accept(row["rollback_id"], accepted, reason="paid", by=person)
        things.broken = set()
        again, other = await act(world, session, PLACE, ("shop/place", {"order": "8"}))
        plan = world.house.rollbacks.plan(session)
        assert [step.call_id for step in plan.steps] == [other, again]
        ended = await roll_back(world, session)
        assert ended["state"] == "PARTIALLY_COMPENSATED"
        reason = f"two people let it stay, in rollback {row['rollback_id']}"
        assert [each["reason"] for each in ended["residuals"]] == [reason]
        shown = await invoke(world.house.desk, "sessions.show", {"session": session}, OPERATOR)
        assert [bool(each["accepted"]) for each in shown["effects"]] == [True, False, False]


# --- rows whose time is over -----------------------------------------------------------------------------


async def month(world: World, days: int = 31) -> int:
    world.clock.advance(days * 86_400)
    return await world.house.pruning()


async def test_rows_of_the_journal_go_with_their_window_and_a_rollback_still_names_the_effects(
    tmp_path: Path,
) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        first, undone = await world.session(), await world.session()
        [kept] = await act(world, first, PLACE)
        await act(world, undone, ("shop/place", {"order": "8"}))
        await roll_back(world, undone)
        before = world.house.rollbacks.plan(first)
        assert [step.call_id for step in before.steps] == [kept]
        assert await month(world, 29) == 0
        assert await month(world, 2) == 2
        assert list(world.store.scan(Table.EFFECT)) == []
        plan = world.house.rollbacks.plan(first)
        assert [(each.call_id, each.reason) for each in plan.residuals] == [
            (kept, "its time for being undone is over")
        ]
        assert world.house.rollbacks.plan(undone).residuals == (), "what was taken back is not named as left"


async def test_rows_stay_while_a_rollback_waits_for_a_person_or_an_older_effect_can_be_undone(
    tmp_path: Path,
) -> None:
    things = Things()
    longer = MANIFESTS["tools/shop.yaml"].replace("attempts_max: 3", "attempts_max: 3, window_s: 10000000")
    async with undoable_world(tmp_path, things, files={"tools/shop.yaml": longer}) as world:
        stuck, older, later = await world.session(), await world.session(), await world.session()
        await act(world, stuck, ("shop/note", {"text": "x"}))
        things.broken = {"strike", "hide"}
        assert (await roll_back(world, stuck))["state"] == "NEEDS_HUMAN"
        await act(world, older, PLACE)
        await world.house.gateway.close_session(older)
        shorter = longer.replace("10000000", "60")
        (tmp_path / "tools" / "shop.yaml").write_text(shorter)
        await world.approve_all()
        await act(world, later, PLACE)
        assert await month(world) == 0
        [residual] = world.house.rollbacks.plan(older).residuals
        assert f"session {later} changed the same later" in residual.reason


async def test_a_key_is_forgotten_a_month_after_its_window(tmp_path: Path) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        assert (await world.call(session, *PLACE, once="k")).error is None
        assert await month(world) == 1, "the journal's row; the key is still known"
        await world.approve_all()
        assert code_of(await world.call(session, *PLACE, once="k")) == "key_reused"
        assert await month(world) == 1


# --- proof -----------------------------------------------------------------------------------------------


async def test_where_the_ward_says_so_a_class_is_admitted_only_with_a_proof(tmp_path: Path) -> None:
    config = {"toolward.yaml": WARD + "rollback: {require_proof: true}\n"}
    async with undoable_world(tmp_path, Things(), files=config, approved=False) as world:
        for server in ("disk", "shop"):
            await world.house.parts.drift.refresh(server)
        desk, keys = world.house.desk, [pin.key for pin in world.house.parts.registry.pins()]
        refused: dict[str, Denied] = {}
        for key in keys:
            try:
                await invoke(desk, "tools.approve", {"tools": [{"tool": key}]}, OPERATOR)
            except Denied as error:
                refused[key] = error
        assert {each.reason.code for each in refused.values()} == {"not_proved"}
        assert "toolward tools prove disk/write" in refused["disk/write"].reason.remedy
        assert list(refused) == ["disk/write", "shop/note", "shop/place", "shop/price", "shop/sell"]
        verdict = {"what": "it is undone", "holds": True, "text": ""}
        with pytest.raises(Rejected):
            await invoke(desk, "tools.proved", {"tool": "disk/write", "checks": []}, OPERATOR)
        for said in ("yes", False):
            broken = {"tool": "disk/write", "checks": [{**verdict, "holds": said}]}
            await invoke(desk, "tools.proved", broken, OPERATOR)
            with pytest.raises(Denied, match="did not keep that"):
                await invoke(desk, "tools.approve", {"tools": [{"tool": "disk/write"}]}, OPERATOR)
        await invoke(desk, "tools.proved", {"tool": "disk/write", "checks": [verdict]}, OPERATOR)
        await invoke(desk, "tools.approve", {"tools": [{"tool": "disk/write"}]}, OPERATOR)
        two = {"tools": [{"tool": "disk/peek"}, {"tool": "shop/place"}]}
        with pytest.raises(Denied):
            await invoke(desk, "tools.approve", two, OPERATOR)
        session = await world.session()
        await act(world, session, ("disk/write", {"path": "/data/a", "text": "x"}))
        changed = MANIFESTS["tools/disk.yaml"].replace("restore: true", "restore: true, window_s: 60")
        (tmp_path / "tools" / "disk.yaml").write_text(changed)
        await world.house.desk.reload(OPERATOR)
        await world.house.parts.drift.refresh("disk")
        with pytest.raises(Denied, match="nobody has shown"):
            await invoke(desk, "tools.approve", {"tools": [{"tool": "disk/write"}]}, OPERATOR)
