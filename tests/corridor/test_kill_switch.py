"""Stopped at once: what asks, what is on its way, what runs and what is held; undo goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.corridor.test_races import Gate
from tests.harness import OPERATOR, World, code_of, open_world
from tests.safeguards_world import ALICE, BOB, a_store, ran, safeguarded, tools

from toolward.errors import Rejected
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.model.call import LIST_ACTIONS, Action, Intent, RawOutcome, Stopped
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
READ = ("files/read", {"path": "/data/a"})


async def stop(world: World, kind: str, name: str = "", why: str = "it went wild") -> int:
    out = await invoke(world.house.desk, "stops.set", {"kind": kind, "name": name, "why": why}, OPERATOR)
    cancelled: int = out["cancelled"]
    return cancelled


async def lift(world: World, kind: str, name: str = "") -> None:
    await invoke(world.house.desk, "stops.lift", {"kind": kind, "name": name}, OPERATOR)


@pytest.mark.parametrize(
    ("kind", "name", "others"),
    [
        ("all", "", False),
        ("agent", "scripted", False),
        ("server", "files", True),
        ("tool", "files/write", True),
        ("session", "SESSION", True),
    ],
)
async def test_what_is_stopped_is_told_why_and_what_is_not_goes_on(
    tmp_path: Path, kind: str, name: str, *, others: bool
) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        subject = name.replace("SESSION", session)
        await stop(world, kind, subject)
        refused = await world.call(session, *WRITE, principal=ALICE)
        assert code_of(refused) == "stopped"
        assert refused.error is not None
        assert "it went wild" in refused.error.message
        assert ran(world, "files/write") == []
        other = await world.session(BOB)
        away = await world.call(other, "db/put", {"table": "t", "row": "1"}, principal=BOB)
        assert (away.error is None) is others
        listed = await world.perform(session, Action.LIST_TOOLS, {}, server="files", principal=ALICE)
        assert listed.result is not None
        assert len(listed.result["tools"]) == 2, "lists hide nothing"
        await lift(world, kind, subject)
        assert (await world.call(session, *WRITE, principal=ALICE)).error is None


@pytest.mark.parametrize("kind", ["all", "agent", "server", "session"])
async def test_no_list_that_asks_the_server_reaches_a_stopped_one(tmp_path: Path, kind: str) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        await stop(world, kind, {"agent": "scripted", "server": "files", "session": session}.get(kind, ""))
        asked = len(world.upstreams.ran)
        for action in sorted(LIST_ACTIONS - {Action.LIST_TOOLS}):
            sent = {"cursor": "chosen-by-the-agent"}
            refused = await world.perform(session, action, sent, server="files", principal=ALICE)
            assert code_of(refused) == "stopped"
        assert len(world.upstreams.ran) == asked


async def test_a_stop_opens_an_incident_that_its_lifting_closes(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        await stop(world, "agent", "scripted")
        await stop(world, "agent", "scripted", why="still")
        (incident,) = world.house.parts.incidents.all()
        assert (incident.kind, incident.subject) == ("stop", "agent/scripted")
        assert incident.contained_ns
        assert not incident.restored_ns
        (row,) = await invoke(world.house.desk, "stops.list", {}, OPERATOR)
        assert (row["stopped"], row["why"], row["by"]["user"]) == ("agent/scripted", "still", "olga")
        await lift(world, "agent", "scripted")
        assert world.house.parts.incidents.all()[0].restored_ns
        assert [world.records(kind)[0]["kind"] for kind in ("stop.set", "stop.lifted")]


async def test_a_running_call_is_cancelled_settled_and_answered(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        reached, cancelled = asyncio.Event(), asyncio.Event()

        async def slow(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            reached.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            raise AssertionError

        world.upstreams.answers["files/write"] = slow
        session = await world.session(ALICE)
        running = asyncio.create_task(world.call(session, *WRITE, principal=ALICE, once="k"))
        await reached.wait()
        assert await stop(world, "tool", "mail/send") == 0, "the control: another tool"
        assert await stop(world, "session", session) == 1
        reply = await running
        assert cancelled.is_set(), "at its server, too"
        assert code_of(reply) == "stopped"
        assert world.records("call.outcome")[-1]["status"] == "stopped"
        await lift(world, "session", session)
        again = await world.call(session, *WRITE, principal=ALICE, once="k")
        assert code_of(again) == "unknown_outcome", "it may have happened, so it is not run again"


async def test_a_server_that_answers_a_cancellation_itself_is_settled_the_same_way(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        reached = asyncio.Event()

        async def polite(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            reached.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return Stopped(reason="killed", message="cancelled")
            raise AssertionError

        world.upstreams.answers["files/write"] = polite
        running = asyncio.create_task(world.call(await world.session(ALICE), *WRITE, principal=ALICE))
        await reached.wait()
        assert await stop(world, "all") == 1
        assert code_of(await running) == "stopped"


async def test_a_caller_that_hung_up_is_not_told_of_a_stop(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        reached = asyncio.Event()

        async def slow(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError

        world.upstreams.answers["files/write"] = slow
        running = asyncio.create_task(world.call(await world.session(ALICE), *WRITE, principal=ALICE))
        await reached.wait()
        running.cancel()
        await stop(world, "all")
        with pytest.raises(asyncio.CancelledError):
            await running
        assert world.records("call.outcome")[-1]["reason"] == "unknown_outcome"


async def test_a_call_whose_intent_is_being_written_does_not_run(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        gate = Gate(world, EventKind.CALL_INTENT)
        late = asyncio.create_task(world.call(session, *WRITE, principal=ALICE, once="k"))
        await gate.reached.wait()
        await stop(world, "agent", "scripted")
        gate.opened.set()
        assert code_of(await late) == "stopped"
        assert ran(world, "files/write") == []
        await lift(world, "agent", "scripted")
        assert (await world.call(session, *WRITE, principal=ALICE, once="k")).error is None, "nothing ran"


async def test_undo_works_while_everything_is_stopped(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        done = await world.call(session, *WRITE, principal=ALICE)
        await stop(world, "all")
        for undo_of in (done.call_id, ""):
            attempt = Attempt(
                principal=ALICE,
                session_id=session,
                action=Action.CALL_TOOL,
                params={"name": "write", "arguments": {"path": "/data/a", "text": ""}},
                server="files",
                undo_of=undo_of,
            )
            reply = await world.house.gateway.perform(attempt, QuietExchange())
            assert (reply.error is None) is bool(undo_of)


async def test_a_stop_outlives_a_restart_and_needs_a_reason_and_a_person(tmp_path: Path) -> None:
    store = a_store()
    async with open_world(safeguarded(tmp_path), tools=tools(), store=store) as world:
        with pytest.raises(Rejected, match="reason"):
            await stop(world, "all", why=" ")
        with pytest.raises(Rejected, match="name the agent"):
            await stop(world, "agent")
        with pytest.raises(Rejected, match="not stopped"):
            await lift(world, "all")
        with pytest.raises(Rejected, match="person"):
            await invoke(world.house.desk, "stops.set", {"kind": "all", "why": "x"}, ALICE)
        await stop(world, "all")
    async with open_world(tmp_path, tools=tools(), store=store, approved=False) as world:
        session = await world.session(ALICE)
        assert code_of(await world.call(session, *READ, principal=ALICE)) == "stopped"


async def test_another_process_sees_it_with_its_next_read_of_the_store(tmp_path: Path) -> None:
    """Two gateways on one store: a stop set by the one refuses the other's next call."""
    store = a_store()
    async with open_world(safeguarded(tmp_path), tools=tools(), store=store) as one:
        store.digest(b"")
        async with open_world(tmp_path, tools=tools(), store=store, approved=False) as two:
            session = await two.session(ALICE)
            assert (await two.call(session, *READ, principal=ALICE)).error is None
            await stop(one, "all")
            assert code_of(await two.call(session, *READ, principal=ALICE)) == "stopped"


async def test_many_stops_at_once_are_all_in_force(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        await asyncio.gather(*(stop(world, "agent", f"a{n}") for n in range(8)))
        assert len(await invoke(world.house.desk, "stops.list", {}, OPERATOR)) == 8
        await asyncio.gather(*(lift(world, "agent", f"a{n}") for n in range(8)))
        assert await invoke(world.house.desk, "stops.list", {}, OPERATOR) == []
