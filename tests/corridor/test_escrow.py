"""What can not be undone waits: for its time, its session's seal or a person, and can be called off till then."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import OPERATOR, World, code_of, open_world, text_result
from tests.safeguards_world import ALICE, BOB, SEND, a_store, ran, safeguarded, tools

from toolward.errors import AuditUnavailable, Denied, Rejected
from toolward.governance.desk import invoke
from toolward.kernel.safeguards.releases import Releases
from toolward.model.call import Failed, Intent, RawOutcome, Reply, Returned
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Table
from toolward.ports.upstream import Exchange


def releases(world: World) -> Releases:
    return world.house.parts.safeguards.releases


def escrow_of(reply: Reply) -> str:
    assert code_of(reply) == "held_in_escrow"
    assert reply.error is not None
    return str(reply.error.data["details"]["escrow_id"])


async def held(world: World) -> tuple[str, str]:
    """A session, and the escrow of its one mail."""
    session = await world.session(ALICE)
    return session, escrow_of(await world.call(session, *SEND, principal=ALICE))


async def test_it_is_held_durably_and_the_agent_hears_how_and_until_when(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session, escrow = await held(world)
        assert ran(world, "mail/send") == []
        again = await world.call(session, *SEND, principal=ALICE)
        assert escrow_of(again) == escrow, "a retry attaches to the same one"
        assert again.error is not None
        assert again.error.data["details"]["release_at"] == "2026-09-21T14:23:20Z"
        (record,) = world.records("escrow.held")
        assert record["escrow_id"] == escrow
        (row,) = world.store.find(kind="escrow.held")
        assert orjson.loads(world.store.payload(row.index, "arguments") or b"") == SEND[1]
        assert b"hello" not in row.body, "the arguments are encrypted beside the record, not in it"
        assert world.records("call.denied")[-1]["decision"] == "hold"
        (pending,) = await invoke(world.house.desk, "escrow.list", {}, OPERATOR)
        assert (pending["escrow_id"], pending["arguments"]) == (escrow, SEND[1])


async def test_a_reversible_call_is_not_held(tmp_path: Path) -> None:
    """The control."""
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        call = ("files/write", {"path": "/data/a", "text": "x"})
        assert (await world.call(session, *call, principal=ALICE)).error is None


async def test_time_releases_it_once_and_a_retry_gets_the_result_for_a_quarter_of_an_hour(
    tmp_path: Path,
) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session, _ = await held(world)
        world.clock.advance(599)
        assert await releases(world).tick() == 0
        world.clock.advance(2)
        assert await releases(world).tick() == 1
        assert await releases(world).tick() == 0
        assert ran(world, "mail/send") == [SEND[1]]
        assert (await world.call(session, *SEND, principal=ALICE)).result == text_result("done")
        assert world.records("call.replayed")[-1]["by"] == "escrow"
        world.clock.advance(16 * 60)
        _ = escrow_of(await world.call(session, *SEND, principal=ALICE)), "later it is a new call"
        assert len(ran(world, "mail/send")) == 1


MAILING = """\
name: mailing
purpose: tell people
owner: finance
steps: [{name: write, tools: ["mail/*"], bounds: {calls: 1}}, {name: rest, tools: [db/put]}]
"""


@pytest.mark.parametrize("ended", [False, True])
async def test_what_was_held_in_a_step_goes_out_wherever_its_session_is_by_then(
    tmp_path: Path, ended: bool
) -> None:
    folder = safeguarded(tmp_path)
    (folder / "objectives").mkdir()
    (folder / "objectives" / "mailing.yaml").write_text(MAILING)
    async with open_world(folder, tools=tools()) as world:
        session = await world.session(ALICE, objective="mailing")
        _ = escrow_of(await world.call(session, *SEND, principal=ALICE))
        if ended:
            _ = await world.house.conduct.finish(session, by=ALICE)
        else:
            _ = await world.house.conduct.step(session, "rest", by=ALICE)
        fresh = await world.call(session, "mail/publish", {"table": "t"}, principal=ALICE)
        assert code_of(fresh) == ("objective_ended" if ended else "not_in_step")
        world.clock.advance(601)
        assert await releases(world).tick() == 1
        assert ran(world, "mail/send") == [SEND[1]]
        assert world.records("call.intent")[-1]["step"] == "write"


async def test_the_ticking_look_sleeps_till_the_nearest_time(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        it, reached = releases(world), asyncio.Event()

        async def send(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            reached.set()
            return Returned(result=text_result("sent"), size_bytes=1)

        world.upstreams.answers["mail/send"] = send
        assert it._rest_s() > 3600, "nothing is held, so nothing is looked at"
        _ = await held(world)
        assert it._rest_s() == 30.0, "a clock that is set forward is noticed within half a minute"
        world.clock.advance(590)
        assert it._rest_s() == 10.0
        keeping = asyncio.create_task(it.keep())
        world.clock.advance(11)
        it.note("nothing", 1)  # as a call that is held wakes it
        await reached.wait()
        keeping.cancel()


async def test_what_ended_long_ago_is_swept_away_and_what_is_held_stays(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        _, first = await held(world)
        await releases(world).cancel(first, why="", by=OPERATOR)
        _, second = await held(world)
        await releases(world)._sweep()
        assert len(list(world.store.scan(Table.ESCROW))) == 2, "a retry is still told"
        world.clock.advance(3601)
        await releases(world)._sweep()
        assert [row.key for row in world.store.scan(Table.ESCROW)] == [second]


async def test_a_person_releases_it_and_an_agent_does_not(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        _, escrow = await held(world)
        with pytest.raises(Denied):
            await releases(world).release(escrow, by=ALICE)
        assert ran(world, "mail/send") == []
        out = await invoke(world.house.desk, "escrow.release", {"escrow": escrow}, OPERATOR)
        assert out["state"] == "used"
        assert ran(world, "mail/send") == [SEND[1]]
        with pytest.raises(Rejected, match="used already"):
            await invoke(world.house.desk, "escrow.release", {"escrow": escrow}, OPERATOR)
        assert world.records("escrow.ended")[-1]["by"]["user"] == "olga"


async def test_called_off_by_its_own_caller_or_a_person_it_never_happens(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session, escrow = await held(world)
        with pytest.raises(Denied, match="somebody else"):
            await releases(world).cancel(escrow, why="", by=BOB)
        await releases(world).cancel(escrow, why="wrong address", by=ALICE)
        world.clock.advance(601)
        assert await releases(world).tick() == 0
        reply = await world.call(session, *SEND, principal=ALICE)
        assert code_of(reply) == "escrow_cancelled"
        assert reply.error is not None
        assert "wrong address" in reply.error.message
        with pytest.raises(Rejected, match="cancelled already"):
            await invoke(world.house.desk, "escrow.cancel", {"escrow": escrow}, OPERATOR)
        assert ran(world, "mail/send") == []


async def test_cancel_and_release_at_once_have_one_winner(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        _, escrow = await held(world)
        results = await asyncio.gather(
            releases(world).cancel(escrow, why="", by=OPERATOR),
            releases(world).release(escrow, by=OPERATOR),
            releases(world).release(escrow, by=OPERATOR),
            return_exceptions=True,
        )
        cancelled = not isinstance(results[0], BaseException)
        assert len(ran(world, "mail/send")) == (0 if cancelled else 1)


async def test_a_seal_releases_what_the_session_holds_in_order(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session, other = await world.session(ALICE), await world.session(ALICE)
        for text in ("one", "two"):
            arguments = {"to": "ann@example.org", "text": text}
            _ = escrow_of(await world.call(session, "mail/send", arguments, principal=ALICE))
        _ = escrow_of(await world.call(other, *SEND, principal=ALICE))
        sealed = await invoke(world.house.desk, "sessions.seal", {"session": session}, OPERATOR)
        assert [each["state"] for each in sealed["released"]] == ["used", "used"]
        assert [arguments["text"] for arguments in ran(world, "mail/send")] == ["one", "two"]
        assert world.house.parts.safeguards.seals.sealed_index(session) == sealed["sealed_index"]
        assert world.house.parts.safeguards.seals.sealed_index(other) == -1


@pytest.mark.parametrize("change", ["revoked", "stopped", "denied"])
async def test_what_holds_when_it_is_released_is_what_decides(tmp_path: Path, change: str) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session, escrow = await held(world)
        if change == "revoked":
            await invoke(world.house.desk, "tools.revoke", {"tool": "mail/send"}, OPERATOR)
        elif change == "stopped":
            await invoke(
                world.house.desk, "stops.set", {"kind": "agent", "name": "scripted", "why": "odd"}, OPERATOR
            )
        else:
            policy = 'forbid(principal, action == Toolward::Action::"mail/send", resource);\n'
            (tmp_path / "policies").mkdir()
            (tmp_path / "policies" / "no.cedar").write_text(policy)
            (tmp_path / "toolward.yaml").write_text(
                (tmp_path / "toolward.yaml").read_text().replace("observe", "guarded")
            )
            await world.house.desk.reload(OPERATOR)
        out = await releases(world).release(escrow, by=OPERATOR)
        assert (out["state"], out["code"]) == ("refused", change)
        assert ran(world, "mail/send") == []
        assert world.records("escrow.ended")[-1]["how"] == "refused"
        if change == "denied":
            assert code_of(await world.call(session, *SEND, principal=ALICE)) == "denied"
        world.clock.advance(601)
        assert await releases(world).tick() == 0, "and it does not come back by itself"


async def test_a_key_that_was_revoked_meanwhile_lets_nothing_out(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        made = await invoke(world.house.desk, "keys.create", {"agent": "scripted"}, OPERATOR)
        keyed = Principal(user="olga", agent="scripted", credential=made["name"], kind=CredentialKind.API_KEY)
        escrows = []
        for text in ("before", "after"):
            session = await world.session(keyed)
            arguments = {"to": "ann@example.org", "text": text}
            escrows.append(escrow_of(await world.call(session, "mail/send", arguments, principal=keyed)))
        assert (await releases(world).release(escrows[0], by=OPERATOR))["state"] == "used"
        await invoke(world.house.desk, "keys.revoke", {"name": made["name"]}, OPERATOR)
        assert (await releases(world).release(escrows[1], by=OPERATOR))["state"] == "ended"
        assert [arguments["text"] for arguments in ran(world, "mail/send")] == ["before"]


async def test_a_server_that_is_away_is_asked_again_later_and_less_often(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        away = True

        async def send(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            assert away
            return Failed(code=-32000, message="away", reason="tool_unreachable", from_server=False)

        world.upstreams.answers["mail/send"] = send
        session, _ = await held(world)
        world.clock.advance(601)
        assert await releases(world).tick() == 1
        # it had its intent, and it is known that nothing happened: asked for again, it is held again
        assert not list(world.store.scan(Table.ESCROW))
        away = False
        world.upstreams.answers["mail/send"] = "sent"
        _ = escrow_of(await world.call(session, *SEND, principal=ALICE))
        world.clock.advance(601)
        assert await releases(world).tick() == 1
        assert (await world.call(session, *SEND, principal=ALICE)).result == text_result("sent")


async def test_earlier_work_of_another_session_on_its_resource_holds_it_back(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        world.house.parts.safeguards.frontiers.wait_s = 0.0
        theirs, mine = await world.session(BOB), await world.session(ALICE)
        assert (await world.call(theirs, "db/put", {"table": "t", "row": "1"}, principal=BOB)).error is None
        publish = ("mail/publish", {"table": "t"})
        _ = escrow_of(await world.call(mine, *publish, principal=ALICE))
        sealed = await world.house.gateway.safeguards.seals(mine, by=ALICE)
        assert sealed["released"][0]["code"] == "resource_conflict"
        assert ran(world, "mail/publish") == []
        await world.house.gateway.safeguards.seals(theirs, by=BOB)
        assert await releases(world).tick() == 1, "their seal brings it back at once"
        assert ran(world, "mail/publish") == [{"table": "t"}]


async def test_with_a_key_the_retry_after_release_gets_its_result(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path), tools=tools()) as world:
        session = await world.session(ALICE)
        for key in ("k1", "k2", "k1"):
            _ = escrow_of(await world.call(session, *SEND, principal=ALICE, once=key))
        assert len(releases(world).pending()) == 2, "two keys are two effects"
        world.clock.advance(601)
        assert await releases(world).tick() == 2
        assert len(ran(world, "mail/send")) == 2
        world.clock.advance(16 * 60)
        assert (await world.call(session, *SEND, principal=ALICE, once="k1")).error is None
        assert len(ran(world, "mail/send")) == 2, "a key outlives the quarter of an hour"


# --- crashes -----------------------------------------------------------------------------------------


async def play(world: World, effects: list[Any]) -> None:
    """Held, released by time, and asked for again by the agent: as far as the disk lets it get."""
    session = await world.session(ALICE)
    await world.call(session, *SEND, principal=ALICE)
    world.clock.advance(601)
    try:
        await releases(world).tick()
    finally:
        effects += ran(world, "mail/send")


async def test_every_point_at_which_it_can_be_cut_off(tmp_path: Path) -> None:
    """Session, hold, its refusal, due, intent, outcome: after each, one effect or none that can still come."""
    async with open_world(safeguarded(tmp_path / "count"), tools=tools()) as world:
        before = world.store.commits
        await play(world, [])
        points = world.store.commits - before
    assert points == 6
    for point in range(2, points + 1):
        folder, store, effects = safeguarded(tmp_path / str(point)), a_store(), list[Any]()
        async with open_world(folder, tools=tools(), store=store) as world:
            store.fail_at = frozenset({store.commits + point})
            with suppress(AuditUnavailable):
                await play(world, effects)
            assert store.healthy(), "the disk broke"
        store.restart()
        async with open_world(folder, tools=tools(), store=store, approved=False) as world:
            world.clock.advance(700)
            await releases(world).tick()
            await releases(world).tick()
            effects += ran(world, "mail/send")
            was_held = bool(world.records("escrow.held"))
            assert len(effects) == (1 if was_held else 0), point
            assert releases(world).pending() == []
