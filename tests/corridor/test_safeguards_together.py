"""One call that needs a person's agreement, is held, has a key and a resource: each safeguard counts once."""

from __future__ import annotations

from pathlib import Path

import orjson
from tests.approvals_world import approval_of, ask_desk, sign_up
from tests.harness import OPERATOR, World, code_of, open_world, text_result
from tests.safeguards_world import ALICE, SEND, ran, safeguarded, tools

from toolward.governance.desk import invoke
from toolward.model.call import Reply
from toolward.ports.store import Table


async def asked(world: World, session: str, *, once: str = "") -> str:
    reply = await world.call(session, *SEND, principal=ALICE, once=once)
    assert code_of(reply) == "approval_required"
    return approval_of(reply)


def states(world: World) -> list[str]:
    return [orjson.loads(row.body)["state"] for row in world.store.scan(Table.ESCROW)]


async def approve(world: World, approval: str) -> None:
    await sign_up(world, "alice")
    await ask_desk(world, "alice", "approvals.approve", approval=approval)


async def send(world: World, session: str, *, once: str = "") -> Reply:
    return await world.call(session, *SEND, principal=ALICE, once=once)


async def test_what_was_agreed_to_is_held_and_the_agreement_is_used_up_when_it_goes_out(
    tmp_path: Path,
) -> None:
    async with open_world(safeguarded(tmp_path, profile="guarded"), tools=tools()) as world:
        session = await world.session(ALICE)
        approval = await asked(world, session, once="k")
        await approve(world, approval)
        assert code_of(await send(world, session, once="k")) == "held_in_escrow"
        assert ran(world, "mail/send") == []
        world.clock.advance(601)
        assert await world.house.parts.safeguards.releases.tick() == 1
        assert len(ran(world, "mail/send")) == 1
        (intent,) = world.records("call.intent")
        assert intent["escrow"]
        assert intent["idempotency"]
        assert (await send(world, session, once="k")).result == text_result("done")
        shown = await ask_desk(world, "alice", "approvals.show", approval=approval)
        assert shown["state"] == "used"
        assert len(ran(world, "mail/send")) == 1


async def test_an_agreement_that_ran_out_while_it_was_held_is_asked_for_again(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path, profile="guarded"), tools=tools()) as world:
        session = await world.session(ALICE)
        await approve(world, await asked(world, session))
        assert code_of(await send(world, session)) == "held_in_escrow"
        world.clock.advance(30 * 86_400)
        assert await world.house.parts.safeguards.releases.tick() == 1
        assert ran(world, "mail/send") == []
        assert states(world) == ["due"], "it waits for a person now, not for a time"
        assert await world.house.parts.safeguards.releases.tick() == 0, "and is not asked for over and over"
        await approve(world, await asked(world, session))
        assert (await send(world, session)).result == text_result("done")
        assert len(ran(world, "mail/send")) == 1


async def test_a_stop_between_agreement_and_release_wins(tmp_path: Path) -> None:
    async with open_world(safeguarded(tmp_path, profile="guarded"), tools=tools()) as world:
        session = await world.session(ALICE)
        await approve(world, await asked(world, session))
        assert code_of(await send(world, session)) == "held_in_escrow"
        await invoke(world.house.desk, "stops.set", {"kind": "all", "why": "no more"}, OPERATOR)
        world.clock.advance(601)
        await world.house.parts.safeguards.releases.tick()
        assert states(world) == ["refused"]
        assert ran(world, "mail/send") == []
