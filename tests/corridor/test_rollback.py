"""Rollback in the corridor: what a session did is taken back in reverse, and what stays is named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import AGENT, OPERATOR, World, code_of
from tests.rollback_world import MANIFESTS, WARD, FakeImages, Things, undoable_world, unreached

from toolward.errors import Denied, Rejected
from toolward.kernel.rollback.rows import without_row
from toolward.model.call import Failed, RawOutcome
from toolward.model.principal import CredentialKind, Principal
from toolward.model.rollback import Occasion
from toolward.ports.store import Table

SECOND = Principal(user="piet", agent="cli", credential="person-2", kind=CredentialKind.PERSON)
FOUR = (
    ("disk/write", {"path": "/data/a", "text": "new a"}),
    ("shop/place", {"order": "7"}),
    ("shop/note", {"text": "hello"}),
    ("shop/price", {"item": "pen", "cents": "250"}),
)


async def act(world: World, session: str, *calls: tuple[str, dict[str, str]]) -> list[str]:
    """Make the calls; returns their ids."""
    ids = []
    for call in calls:
        reply = await world.call(session, *call)
        assert reply.error is None, reply.error
        ids.append(reply.call_id)
    return ids


async def roll_back(world: World, session: str, **options: Any) -> dict[str, Any]:
    return await world.house.rollbacks.run(session, by=OPERATOR, **options)


async def test_everything_that_a_session_did_is_taken_back_in_reverse_order(tmp_path: Path) -> None:
    things = Things()
    before = things.state()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, *FOUR)
        assert things.state() != before
        ran = len(world.upstreams.ran)
        row = await roll_back(world, session)
        assert (row["state"], row["residuals"]) == ("COMPENSATED", [])
        assert things.state() == before
        undone = [name for name, _, _ in world.upstreams.ran[ran:] if name not in ("shop/tag", "shop/has")]
        assert undone == ["shop/price", "shop/strike", "shop/cancel"], "and then the file, by its image"


async def test_the_plans_hash_is_on_record_before_the_first_undo_and_each_step_after_it(
    tmp_path: Path,
) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        await act(world, session, *FOUR)
        row = await roll_back(world, session)
        records = world.records()
        kinds = [(record["kind"], record.get("state", "")) for record in records]
        planned = kinds.index(("rollback.planned", ""))
        assert records[planned]["plan_hash"] == row["plan_hash"]
        first_undo = next(i for i, record in enumerate(records) if record.get("undo_of"))
        begun = kinds.index(("rollback.step", "begun"))
        assert planned < begun < len(records)
        assert planned < next(i for i, record in enumerate(records) if record.get("undo_of") and i > planned)
        assert first_undo < planned, "the before-images that tools gave were taken by undo calls too"
        assert kinds[-1] == ("rollback.ended", "COMPENSATED")


async def test_undo_calls_walk_the_corridor_as_their_own_principal(tmp_path: Path) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        [call_id] = await act(world, session, ("shop/note", {"text": "hello"}))
        await roll_back(world, session)
        intent = next(each for each in world.records("call.intent") if each["tool"] == "shop/strike")
        assert intent["principal"]["agent"] == "toolward-undo"
        assert intent["principal"]["user"] == AGENT.user
        assert intent["undo_of"] == call_id
        assert intent["session_id"] != session
        asked = await world.call(session, "shop/strike", {"note": "id-hello", "key": "k"})
        assert code_of(asked) == "approval_required", "the control: an agent may not do the same unasked"


async def test_a_policy_can_forbid_an_undo_and_it_is_left_to_a_person(tmp_path: Path) -> None:
    forbid = (
        '@id("no-undo")\n@reason("not now")\nforbid (principal, action, resource) when { context.call.undo };'
    )
    async with undoable_world(tmp_path, Things(), files={"policies/own.cedar": forbid}) as world:
        session = await world.session()
        await act(world, session, ("shop/place", {"order": "7"}))
        row = await roll_back(world, session)
        assert row["state"] == "NEEDS_HUMAN"
        assert "not now" in row["residuals"][0]["reason"]


async def test_what_nobody_promised_to_undo_stays_and_is_named(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        ids = await act(world, session, FOUR[0], ("shop/sell", {"item": "pen"}))
        with pytest.raises(Denied) as whole:
            await roll_back(world, session, all_or_nothing=True)
        assert whole.value.reason.code == "not_undoable"
        assert things.files["/data/a"] == "new a", "and nothing was undone"
        row = await roll_back(world, session)
        assert row["state"] == "PARTIALLY_COMPENSATED"
        assert [(left["tool"], left["call_id"]) for left in row["residuals"]] == [("shop/sell", ids[1])]
        assert things.files["/data/a"] == "old a"


async def test_a_savepoint_and_a_call_bound_how_far_it_goes(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, FOUR[0])
        await world.house.gateway.savepoint(session, AGENT, "here")
        _, note = await act(world, session, FOUR[1], FOUR[2])
        await roll_back(world, session, to=note)
        assert (things.notes, things.orders) == ({}, {"7"})
        await roll_back(world, session, to="here")
        assert (things.files["/data/a"], things.orders) == ("new a", set())
        with pytest.raises(Rejected, match="neither a savepoint nor a call"):
            await roll_back(world, session, to="there")
        await roll_back(world, session)
        assert things.files["/data/a"] == "old a"
        assert (await roll_back(world, session))["plan"]["steps"] == [], "nothing is undone twice"


async def test_a_file_that_was_changed_after_the_call_is_not_overwritten(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, FOUR[0], FOUR[3])
        things.files["/data/a"] = "a person's"
        things.prices["pen"] = "999"
        row = await roll_back(world, session)
        assert row["state"] == "NEEDS_HUMAN"
        assert all("CONFLICT" in left["reason"] for left in row["residuals"])
        assert (things.files["/data/a"], things.prices["pen"]) == ("a person's", "999")


async def test_a_compensation_that_fails_twice_and_then_works_is_done_once(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, FOUR[1])
        things.fails["cancel"] = 2
        before = world.clock.monotonic_ns()
        row = await roll_back(world, session)
        assert (row["state"], things.done["cancel 7"]) == ("COMPENSATED", 1)
        assert world.clock.monotonic_ns() - before >= 1_500_000_000, "it waited longer each time"


async def test_the_other_way_is_tried_once_when_the_first_surely_did_nothing(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, FOUR[2])

        async def away(*_: object) -> RawOutcome:
            return unreached()

        world.upstreams.answers["shop/strike"] = away
        row = await roll_back(world, session)
        assert (row["state"], things.notes, things.done["hide id-hello"]) == ("COMPENSATED", {}, 1)


async def test_a_stuck_step_is_fenced_the_rest_goes_on_and_two_people_or_a_retry_end_it(
    tmp_path: Path,
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        ids = await act(world, session, *FOUR)
        things.broken = {"cancel"}
        row = await roll_back(world, session)
        assert row["state"] == "NEEDS_HUMAN"
        assert [(left["call_id"], left["tool"]) for left in row["residuals"]] == [(ids[1], "shop/place")]
        assert "out of order" in row["residuals"][0]["reason"]
        assert (things.files["/data/a"], things.notes) == ("old a", {}), "independent branches went on"
        other = await world.session()
        assert code_of(await world.call(other, "shop/place", {"order": "7"})) == "resource_fenced"
        assert (await world.call(other, "shop/place", {"order": "8"})).error is None

        rollbacks, number = world.house.rollbacks, row["rollback_id"]
        once = await rollbacks.accept(number, ids[1], reason="paid already", by=OPERATOR)
        assert once["state"] == "NEEDS_HUMAN"
        with pytest.raises(Rejected, match="second person"):
            await rollbacks.accept(number, ids[1], reason="really", by=OPERATOR)
        things.broken = set()
        again = await rollbacks.retry(number, by=OPERATOR)
        assert (again["state"], again["plan_hash"]) == ("COMPENSATED", row["plan_hash"])
        assert (await world.call(other, "shop/place", {"order": "7"})).error is None, "and the fence is gone"


async def test_an_effect_that_two_people_accept_stays_and_its_fence_goes(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        [call_id] = await act(world, session, FOUR[1])
        things.broken = {"cancel"}
        row = await roll_back(world, session)
        for person in (OPERATOR, SECOND):
            row = await world.house.rollbacks.accept(
                row["rollback_id"], call_id, reason="it is paid", by=person
            )
        assert row["state"] == "PARTIALLY_COMPENSATED"
        assert row["residuals"][0]["call_id"] == call_id
        assert (await world.call(await world.session(), *FOUR[1])).error is None


async def test_what_another_session_changed_later_is_not_touched(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        mine, other = await world.session(), await world.session()
        await act(world, mine, FOUR[0], FOUR[1])
        await act(world, other, ("disk/write", {"path": "/data/a", "text": "the other's"}))
        row = await roll_back(world, mine)
        assert row["state"] == "PARTIALLY_COMPENSATED"
        assert f"session {other} changed the same later" in row["residuals"][0]["reason"]
        assert (things.files["/data/a"], things.orders) == ("the other's", set())


async def test_steps_on_one_resource_wait_for_each_other_and_what_lies_beneath_a_stuck_one_is_frozen(
    tmp_path: Path,
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        first, second = await act(
            world, session, FOUR[0], ("disk/write", {"path": "/data/a", "text": "newer a"})
        )
        things.files["/data/a"] = "a person's"
        row = await roll_back(world, session)
        assert row["steps"][second]["state"] == "stuck"
        assert row["steps"][first]["state"] == "frozen"
        things.files["/data/a"] = "newer a"
        assert (await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR))["state"] == "COMPENSATED"
        assert things.files["/data/a"] == "old a"


async def test_a_before_image_that_can_not_be_taken_refuses_the_call(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        for path in ("relative", "/data/../etc", "/elsewhere/x"):
            reply = await world.call(session, "disk/write", {"path": path, "text": "x"})
            assert code_of(reply) == "not_undoable", path
        images = world.house.rollbacks._undoing.images
        assert isinstance(images, FakeImages)
        images.refuses = "no cage"
        assert code_of(await world.call(session, *FOUR[0])) == "not_undoable"
        assert things.done == {}, "nothing ran"
        images.refuses = ""
        await act(world, session, FOUR[0])


async def test_undo_outlives_a_revoked_tool_and_stops_at_a_changed_one(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        registry, drift = world.house.parts.registry, world.house.parts.drift
        revoked, changed = await world.session(), await world.session()
        await act(world, revoked, ("shop/place", {"order": "1"}))
        await act(world, changed, ("shop/place", {"order": "2"}))
        await registry.revoke("shop/cancel", by=OPERATOR, why="to be replaced")
        assert (await roll_back(world, revoked))["state"] == "COMPENSATED"
        assert things.orders == {"2"}
        cancel = next(each for each in world.upstreams.tools["shop"] if each["name"] == "cancel")
        cancel["description"] = "cancels, and more"
        drift.announce("shop")
        row = await roll_back(world, changed)
        assert row["state"] == "NEEDS_HUMAN"
        assert "stale_definition" in row["residuals"][0]["reason"]
        assert things.orders == {"2"}


async def test_a_window_that_is_over_is_a_residual(tmp_path: Path) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        await act(world, session, FOUR[1])
        world.clock.advance(31 * 86_400)
        row = await roll_back(world, session)
        assert row["residuals"][0]["reason"] == "its time for being undone is over"


async def test_the_journal_holds_a_row_where_undo_is_promised_and_the_log_tells_of_other_writes(
    tmp_path: Path,
) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        await act(world, session, FOUR[0], ("shop/sell", {"item": "pen"}), ("shop/has", {"order": "7"}))
        await world.call(session, "disk/wipe", {"path": "/data/a"})  # asked about, and not run
        rows = [orjson.loads(row.body) for row in world.store.scan(Table.EFFECT, f"{session}/")]
        assert [(row["tool"], row["way"], row["status"]) for row in rows] == [
            ("disk/write", "restore", "committed")
        ]
        others = [(row["tool"], row["way"], row["status"]) for row in without_row(world.store, session)]
        assert others == [("shop/sell", "none", "committed")], "no reads, and nothing that was refused"


async def test_a_write_that_surely_never_ran_stands_for_nothing_that_could_stay(tmp_path: Path) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()

        async def away(*_: object) -> RawOutcome:
            return Failed(code=-32000, message="not reached", reason="tool_unreachable", from_server=False)

        async def unclear(*_: object) -> RawOutcome:
            return Failed(code=-32000, message="no", reason="tool_failed")

        sell = ("shop/sell", {"item": "pen"})
        for answer, status in ((away, "failed"), (unclear, "unknown")):
            world.upstreams.answers["shop/sell"] = answer
            await world.call(session, *sell)
            assert [row["status"] for row in without_row(world.store, session)][-1] == status
        row = await roll_back(world, session)
        assert len(row["residuals"]) == 1


async def test_a_tool_that_breaks_its_word_is_quarantined_with_an_incident(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, ("disk/peek", {"path": "/data/a"}))
        assert (await world.call(session, "disk/peek", {"path": "/data/a"})).error is None, "the control"
        things.files["/data/b"] = "trap"
        await act(world, session, ("disk/peek", {"path": "/data/b"}))
        assert code_of(await world.call(session, "disk/peek", {"path": "/data/a"})) == "quarantined"
        [incident] = world.house.parts.incidents.all()
        assert (incident.subject, incident.contained_ns > 0) == ("disk/peek", True)
        row = await roll_back(world, session)
        assert [left["tool"] for left in row["residuals"]] == ["disk/peek"], "what it did is named"


async def test_calls_of_a_session_are_refused_while_it_is_rolled_back(tmp_path: Path) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        await act(world, session, FOUR[1])
        replies = []

        async def cancel(permit: Any, intent: Any, exchange: Any) -> Any:
            replies.append(await world.call(session, "shop/place", {"order": "9"}))
            return await world.upstreams.answers["shop/note"](permit, intent, exchange)  # type: ignore[operator]

        world.upstreams.answers["shop/cancel"] = cancel
        assert (await roll_back(world, session))["state"] == "COMPENSATED"
        assert [code_of(reply) for reply in replies] == ["resource_fenced"]


async def test_undo_has_its_place_when_the_gateway_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with undoable_world(tmp_path, Things()) as world:
        session = await world.session()
        await act(world, session, FOUR[1])
        monkeypatch.setattr(world.house.gateway._room, "most", 0)
        assert code_of(await world.call(session, *FOUR[2])) == "overloaded", "the control"
        assert (await roll_back(world, session))["state"] == "COMPENSATED"


async def test_two_writes_on_one_path_at_once_are_undone_as_if_one_came_after_the_other(
    tmp_path: Path,
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()

        async def slowly(permit: Any, intent: Any, exchange: Any) -> Any:
            await asyncio.sleep(0)
            return await things.run(permit, intent, exchange)

        world.upstreams.answers["disk/write"] = slowly
        calls = [
            world.call(session, "disk/write", {"path": "/data/a", "text": f"text {n}"}) for n in range(5)
        ]
        assert all(reply.error is None for reply in await asyncio.gather(*calls))
        assert (await roll_back(world, session))["state"] == "COMPENSATED"
        assert things.files["/data/a"] == "old a"


async def test_a_caller_that_goes_away_while_the_outcome_is_looked_at_does_not_take_it_along(
    tmp_path: Path,
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        images = world.house.rollbacks._undoing.images
        assert isinstance(images, FakeImages)
        looking, go_on = asyncio.Event(), asyncio.Event()
        look = images.look

        async def slow_look(paths: Any, *, within: Any) -> Any:
            looking.set()
            await go_on.wait()
            return await look(paths, within=within)

        images.look = slow_look  # type: ignore[method-assign]
        call = asyncio.ensure_future(world.call(session, *FOUR[0]))
        await looking.wait()
        call.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        [row] = [orjson.loads(row.body) for row in world.store.scan(Table.EFFECT)]
        assert (row["status"], bool(row["after"])) == ("committed", True)
        assert (await roll_back(world, session))["state"] == "COMPENSATED"


@pytest.mark.parametrize("on", ["", "rollback: {on: [failure, incident]}\n"])
async def test_a_ward_can_have_failures_and_incidents_take_a_session_back_by_themselves(
    tmp_path: Path, on: str
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things, files={"toolward.yaml": WARD + on}) as world:
        failing, struck, bystander = await world.session(), await world.session(), await world.session()
        await act(world, failing, ("shop/place", {"order": "1"}))
        await act(world, struck, ("shop/note", {"text": "hello"}))
        await act(world, bystander, ("shop/place", {"order": "3"}))
        await world.house.automatic.failed(failing, "the bill was wrong")
        note = next(each for each in world.upstreams.tools["shop"] if each["name"] == "note")
        note["description"] = "something else"
        await world.house.parts.drift.refresh("shop")
        await world.house.background.drain()
        assert things.orders == ({"3"} if on else {"1", "3"})
        assert (things.notes == {}) is bool(on)
        whys = [record["why"].partition(":")[0] for record in world.records("rollback.planned")]
        assert whys == (["failure", "incident"] if on else [])


async def test_a_hook_of_ones_own_says_how_far(tmp_path: Path) -> None:
    things, heard = Things(), []

    async def hook(occasion: Occasion, session_id: str, why: str) -> str | None:
        heard.append((occasion, session_id, why))
        return "here"

    async with undoable_world(tmp_path, things, rollback_hook=hook) as world:
        session = await world.session()
        await act(world, session, ("shop/place", {"order": "1"}))
        await world.house.gateway.savepoint(session, AGENT, "here")
        await act(world, session, ("shop/place", {"order": "2"}))
        await world.house.automatic.failed(session, "no stock")
        assert (heard, things.orders) == ([(Occasion.FAILURE, session, "no stock")], {"1"})


async def test_what_looking_changes_is_put_back_and_not_compared(tmp_path: Path) -> None:
    """The control is the same file without being called volatile: a conflict."""
    said = 'snapshot: {paths: ["{arg:path}", "{arg:path}.seen"], volatile: ["{arg:path}.seen"]}'
    for declared, state in ((said, "COMPENSATED"), (said.partition(", volatile")[0] + "}", "NEEDS_HUMAN")):
        things, folder = Things(), tmp_path / state
        manifest = MANIFESTS["tools/disk.yaml"].replace('snapshot: {paths: ["{arg:path}"]}', declared, 1)
        async with undoable_world(folder, things, files={"tools/disk.yaml": manifest}) as world:
            session = await world.session()
            await act(world, session, FOUR[0])
            things.files["/data/a.seen"] = "looked at"
            assert (await roll_back(world, session))["state"] == state
            assert ("/data/a.seen" in things.files) is (state == "NEEDS_HUMAN")


async def test_a_call_on_its_way_is_waited_for_and_taken_back_too(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        running, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(permit: Any, intent: Any, exchange: Any) -> Any:
            running.set()
            await go_on.wait()
            return await things.run(permit, intent, exchange)

        world.upstreams.answers["shop/place"] = slowly
        call = asyncio.ensure_future(world.call(session, *FOUR[1]))
        await running.wait()
        rolling = asyncio.ensure_future(roll_back(world, session))
        await asyncio.sleep(0)
        with pytest.raises(Rejected, match="already"):
            await roll_back(world, session)
        go_on.set()
        assert (await call).error is None
        row = await rolling
        assert (row["state"], len(row["plan"]["steps"])) == ("COMPENSATED", 1)
        assert things.orders == set()


async def test_whoever_asked_may_go_away_and_the_rollback_goes_on(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, *FOUR)
        striking, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(permit: Any, intent: Any, exchange: Any) -> Any:
            striking.set()
            await go_on.wait()
            return await things.run(permit, intent, exchange)

        world.upstreams.answers["shop/strike"] = slowly
        rolling = asyncio.ensure_future(roll_back(world, session))
        await striking.wait()
        rolling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rolling
        go_on.set()
        await world.house.background.drain()
        [row] = world.house.rollbacks.rows(session)
        assert (row["state"], things.state()) == ("COMPENSATED", Things().state())
        await act(world, session, ("shop/place", {"order": "8"}))
