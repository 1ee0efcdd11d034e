"""Two sessions and one resource: the second waits or is refused, and nobody hangs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.corridor.test_races import Gate
from tests.harness import OPERATOR, World, code_of, open_world
from tests.safeguards_world import ALICE, BOB, a_store, ran, safeguarded, tools

from toolward.errors import GatewayError
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.safeguards.frontiers import Frontiers
from toolward.model.call import Action, Intent, RawOutcome, Reply, Returned
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.ports.upstream import Exchange


def frontiers(world: World) -> Frontiers:
    return world.house.parts.safeguards.frontiers


async def write(world: World, session: str, who: Principal, path: str = "/data/a") -> Reply:
    return await world.call(session, "files/write", {"path": path, "text": who.user}, principal=who)


async def put(world: World, session: str, who: Principal, table: str = "t") -> Reply:
    return await world.call(session, "db/put", {"table": table, "row": who.user}, principal=who)


async def seal(world: World, session: str) -> None:
    await invoke(world.house.desk, "sessions.seal", {"session": session}, OPERATOR)


async def test_what_one_session_changed_another_may_not_until_it_is_sealed(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        assert (await write(world, a, ALICE)).error is None
        assert (await write(world, a, ALICE)).error is None, "its own work it may go on with"
        refused = await write(world, b, BOB)
        assert code_of(refused) == "resource_conflict"
        assert refused.error is not None
        assert refused.error.data["details"] == {"resource": "file:/data/a", "retry_after_s": "30"}
        assert a not in str(refused.error), "another's session is not named to it"
        assert (await write(world, b, BOB, "/data/b")).error is None, "the control: another file"
        assert (await world.call(b, "files/read", {"path": "/data/a"}, principal=BOB)).error is None
        await seal(world, a)
        assert (await write(world, b, BOB)).error is None
        assert code_of(await write(world, a, ALICE)) == "resource_conflict", "now it is the other's"


@pytest.mark.parametrize(
    "path", ["/data//a", "/data/./a", "/data/x/../a", "file:///data/a", "/data/%61", "//data/a", "/data/a/"]
)
async def test_another_spelling_of_a_path_is_the_same_resource(tmp_path: Path, path: str) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        assert (await write(world, a, ALICE)).error is None
        assert code_of(await write(world, b, BOB, path)) == "resource_conflict"


async def test_where_the_manifest_says_serialize_it_waits_for_the_seal(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        assert (await put(world, a, ALICE)).error is None
        waiting = asyncio.create_task(put(world, b, BOB))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        await seal(world, a)
        assert (await waiting).error is None
        assert [row["row"] for row in ran(world, "db/put")] == ["alice", "bob"]


async def test_it_waits_for_a_named_time_and_is_then_refused(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        frontiers(world).wait_s = 0.01
        a, b = await world.session(ALICE), await world.session(BOB)
        assert (await put(world, a, ALICE)).error is None
        assert code_of(await put(world, b, BOB)) == "resource_conflict"


async def test_two_that_would_wait_for_each_other_do_not(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        assert (await put(world, a, ALICE, "one")).error is None
        assert (await put(world, b, BOB, "two")).error is None
        waiting = asyncio.create_task(put(world, a, ALICE, "two"))
        for _ in range(20):
            await asyncio.sleep(0)
        refused = await put(world, b, BOB, "one")
        assert code_of(refused) == "resource_conflict"
        assert refused.error is not None
        assert "waits for this one" in refused.error.message
        await seal(world, b)
        assert (await waiting).error is None


async def test_a_ring_of_three_is_found_too(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        sessions = [await world.session(ALICE) for _ in range(3)]
        for n, session in enumerate(sessions):
            assert (await put(world, session, ALICE, f"t{n}")).error is None
        waiting = [asyncio.create_task(put(world, sessions[n], ALICE, f"t{(n + 1) % 3}")) for n in range(2)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert code_of(await put(world, sessions[2], ALICE, "t0")) == "resource_conflict"
        for session in reversed(sessions):
            await asyncio.gather(seal(world, session), return_exceptions=True)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_closed_session_and_one_that_is_idle_let_go(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b, c = await world.session(ALICE), await world.session(BOB), await world.session(BOB)
        assert (await write(world, a, ALICE)).error is None
        world.clock.advance(29 * 60)
        await world.call(a, "files/read", {"path": "/data/z"}, principal=ALICE)
        world.clock.advance(29 * 60)
        assert code_of(await write(world, b, BOB)) == "resource_conflict", "it was used in between"
        world.clock.advance(2 * 60)
        assert (await write(world, b, BOB)).error is None
        await world.house.gateway.close_session(b)
        assert (await write(world, c, BOB)).error is None


async def test_frontiers_outlive_a_restart(tmp_path: Path) -> None:
    store = a_store()
    async with open_world(safeguarded(tmp_path), tools=tools(), store=store) as world:
        assert (await write(world, await world.session(ALICE), ALICE)).error is None
    async with open_world(tmp_path, tools=tools(), store=store, approved=False) as world:
        assert code_of(await write(world, await world.session(BOB), BOB)) == "resource_conflict"


async def test_a_session_whose_call_runs_is_neither_sealed_nor_idle(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        reached, opened = asyncio.Event(), asyncio.Event()

        async def slow(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            reached.set()
            await opened.wait()
            return Returned(result={"content": []}, size_bytes=1)

        world.upstreams.answers["files/write"] = slow
        a, b = await world.session(ALICE), await world.session(BOB)
        running = asyncio.create_task(write(world, a, ALICE))
        await reached.wait()
        with pytest.raises(GatewayError, match="still running"):
            await seal(world, a)
        world.clock.advance(3600)
        await world.house.parts.drift.refresh("files")
        assert code_of(await write(world, b, BOB)) == "resource_conflict"
        opened.set()
        assert (await running).error is None
        await seal(world, a)


async def test_two_that_come_at_once_do_not_both_get_it(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        sessions = [await world.session(ALICE) for _ in range(8)]
        replies = await asyncio.gather(*(write(world, session, ALICE) for session in sessions))
        assert [reply.error is None for reply in replies].count(True) == 1


async def test_calls_of_one_session_do_not_contend_for_what_is_theirs(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        replies = await asyncio.gather(*(put(world, session, ALICE) for _ in range(40)))
        assert [reply.error for reply in replies] == [None] * 40


async def test_a_call_that_comes_while_its_session_is_sealed_is_new_work(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        assert (await put(world, session, ALICE)).error is None
        gate = Gate(world, EventKind.SESSION_SEALED)
        sealing = asyncio.create_task(seal(world, session))
        await gate.reached.wait()
        late = asyncio.create_task(put(world, session, ALICE))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not late.done()
        gate.opened.set()
        await sealing
        assert (await late).error is None
        assert list(frontiers(world).held_by(session)) == ["db:t"]


class Publishing:
    """`mail/publish` without an escrow, whose calls end when they are told to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ends = [asyncio.Event(), asyncio.Event()]
        self._reached = [asyncio.Event(), asyncio.Event()]
        self._left = iter(range(2))
        world.upstreams.answers["mail/publish"] = self._slow

    async def _slow(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del permit, intent, exchange
        n = next(self._left)
        self._reached[n].set()
        await self.ends[n].wait()
        return Returned(result={"content": []}, size_bytes=1)

    async def begun(self, session: str, n: int) -> asyncio.Task[Reply]:
        """A call that runs; or, behind another one, waits for its turn with what it takes taken."""
        sent = {"table": "t", "n": n}
        task = asyncio.create_task(self._world.call(session, "mail/publish", sent, principal=ALICE))
        if n:
            for _ in range(20):
                await asyncio.sleep(0)
        else:
            await self._reached[n].wait()
        return task


def passing(folder: Path) -> Path:
    """The ward, with an irreversible tool that is not held."""
    folder = safeguarded(folder)
    mail = folder / "tools" / "mail.yaml"
    mail.write_text(
        mail.read_text().replace('escrow: {until_seal: true}, resources: ["db', 'resources: ["db')
    )
    return folder


async def test_the_last_of_two_irreversible_calls_at_once_lets_go(tmp_path: Path) -> None:
    async with open_world(passing(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        publishing = Publishing(world)
        first, second = [await publishing.begun(a, n) for n in range(2)]
        publishing.ends[0].set()
        assert (await first).error is None
        assert list(frontiers(world).held_by(a)) == ["db:t"], "the other one needs it"
        publishing.ends[1].set()
        assert (await second).error is None
        assert list(frontiers(world).held_by(a)) == []
        assert (await put(world, b, BOB)).error is None


async def test_what_an_irreversible_call_left_to_one_that_never_ran_is_free(tmp_path: Path) -> None:
    async with open_world(passing(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        publishing = Publishing(world)
        first, second = [await publishing.begun(a, n) for n in range(2)]
        gate = Gate(world, EventKind.CALL_OUTCOME)
        publishing.ends[0].set()
        await gate.reached.wait()
        second.cancel()
        gate.opened.set()
        assert (await first).error is None
        await asyncio.gather(second, return_exceptions=True)
        assert (await put(world, b, BOB)).error is None


async def test_what_can_be_undone_stays_held_when_an_irreversible_call_beside_it_ends(tmp_path: Path) -> None:
    async with open_world(passing(tmp_path), tools=tools()) as world:
        a = await world.session(ALICE)
        publishing = Publishing(world)
        running = await publishing.begun(a, 0)
        beside = asyncio.create_task(put(world, a, ALICE))
        for _ in range(20):
            await asyncio.sleep(0)
        publishing.ends[0].set()
        assert [reply.error for reply in await asyncio.gather(running, beside)] == [None, None]
        assert list(frontiers(world).held_by(a)) == ["db:t"]


async def test_a_call_does_not_count_on_a_row_that_is_being_deleted(tmp_path: Path) -> None:
    async with open_world(passing(tmp_path), tools=tools()) as world:
        a = await world.session(ALICE)
        publishing = Publishing(world)
        running = await publishing.begun(a, 0)
        gate = Gate(world, EventKind.CALL_OUTCOME)
        publishing.ends[0].set()
        await gate.reached.wait()
        late = asyncio.create_task(put(world, a, ALICE))
        for _ in range(20):
            await asyncio.sleep(0)
        gate.opened.set()
        assert (await running).error is None
        assert (await late).error is None
        assert list(frontiers(world).held_by(a)) == ["db:t"], "it can be undone, so it is its session's"


async def test_a_session_that_goes_on_after_a_restart_keeps_what_it_holds(tmp_path: Path) -> None:
    store = a_store()
    async with open_world(safeguarded(tmp_path), tools=tools(), store=store) as world:
        a = await world.session(ALICE)
        assert (await write(world, a, ALICE)).error is None
    async with open_world(tmp_path, tools=tools(), store=store, approved=False) as world:
        b = await world.session(BOB)
        for _ in range(4):
            world.clock.advance(10 * 60)
            await world.call(a, "files/read", {"path": "/data/z"}, principal=ALICE)
        assert code_of(await write(world, b, BOB)) == "resource_conflict"
        world.clock.advance(31 * 60)
        assert (await write(world, b, BOB)).error is None, "the control: idle, it lets go"


async def test_what_undoes_a_call_acts_for_its_session(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        done = await write(world, a, ALICE)
        undo = Attempt(
            principal=BOB,
            session_id=b,
            action=Action.CALL_TOOL,
            params={"name": "write", "arguments": {"path": "/data/a", "text": ""}},
            server="files",
            undo_of=done.call_id,
        )
        assert (await world.house.gateway.perform(undo, QuietExchange())).error is None
        assert list(frontiers(world).held_by(a)) == ["file:/data/a"], "still its own"
        await frontiers(world).release(a)
        assert (await write(world, b, BOB)).error is None


# --- places above and below ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "meets"),
    [
        ("/data/a", "/data/a/b/c", True),
        ("/data/a/b/c", "/data/a", True),
        ("/data/a", "/data/ab", False),
        ("/data/a/b", "/data/a/c", False),
        ("/data/a", "/data/a/" + "x/" * 400, True),
        ("/data/a/" + "x/" * 400, "/data/a", True),
    ],
)
@pytest.mark.parametrize("again", [False, True])
async def test_a_directory_and_what_is_in_it_are_not_changed_by_two_sessions(
    tmp_path: Path, first: str, second: str, meets: bool, again: bool
) -> None:
    store = a_store()
    async with open_world(safeguarded(tmp_path), tools=tools(), store=store) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        assert (await write(world, a, ALICE, first)).error is None
        if not again:
            await check(world, a, b, second, meets)
    if again:  # the same after a restart
        async with open_world(tmp_path, tools=tools(), store=store, approved=False) as world:
            await check(world, a, b, second, meets)


async def check(world: World, a: str, b: str, second: str, meets: bool) -> None:
    reply = await write(world, b, BOB, second)
    if not meets:
        assert reply.error is None, "the control"
        return
    assert code_of(reply) == "resource_conflict"
    assert reply.error is not None
    assert "x/x" in second or second in reply.error.data["details"]["resource"], "its own name for it"
    assert (await write(world, a, ALICE, second)).error is None, "who has the one may change the other"
    await seal(world, a)
    assert (await write(world, b, BOB, second)).error is None


async def test_of_two_that_come_at_once_for_a_directory_and_a_file_in_it_one_waits(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        a, b = await world.session(ALICE), await world.session(BOB)
        replies = await asyncio.gather(write(world, a, ALICE, "/data/d"), write(world, b, BOB, "/data/d/f"))
        assert sorted(code_of(each) if each.error else "" for each in replies) == ["", "resource_conflict"]
        await seal(world, a)
        await seal(world, b)
        assert (await write(world, b, BOB, "/data/d/f")).error is None
        assert frontiers(world).places.meeting("file:/data") == ["file:/data/d/f"], (
            "what was let go is forgotten"
        )
