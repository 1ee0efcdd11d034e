"""From an Ask to an execution, and everything that can happen in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.approvals_world import (
    ROLES,
    WIPE,
    approval_of,
    edit,
    person,
    policy,
    ran,
    sign_up,
    state_of,
)
from tests.harness import WARD, code_of, open_world, text_result

from toolward.errors import Denied
from toolward.model.approval import ApprovalState
from toolward.model.call import Action, Reply


async def test_a_call_that_was_approved_runs_once_on_the_retry(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await sign_up(world, "alice")
        session = await world.session()
        approval = approval_of(await world.call(session, *WIPE))
        assert approval_of(await world.call(session, *WIPE)) == approval, "a retry attaches"
        assert ran(world) == 0
        await world.house.parts.approvals.voting.approve(approval, person("alice"))
        reply = await world.call(session, *WIPE)
        assert reply.result == text_result("done")
        assert ran(world) == 1
        assert state_of(world, approval) is ApprovalState.USED
        [intent] = world.records("call.intent")
        assert intent["approvals"] == [approval]
        assert intent["approved_by"] == ["alice"]


async def test_the_result_is_kept_for_the_retry_and_later_it_is_a_new_question(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await sign_up(world, "alice")
        session = await world.session()
        approval = approval_of(await world.call(session, *WIPE))
        await world.house.parts.approvals.voting.approve(approval, person("alice"))
        first = await world.call(session, *WIPE)
        again = await world.call(session, *WIPE)
        assert again.result == first.result
        assert ran(world) == 1
        [replayed] = world.records("call.replayed")
        assert (replayed["of"], replayed["approval"]) == (first.call_id, approval)
        world.clock.advance(15 * 60 + 1)
        assert approval_of(await world.call(session, *WIPE)) != approval
        assert ran(world) == 1


async def test_a_hundred_retries_at_once_have_one_effect_and_one_answer(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await sign_up(world, "alice")
        session = await world.session()
        asked = await asyncio.gather(*(world.call(session, *WIPE) for _ in range(100)))
        assert len({approval_of(reply) for reply in asked}) == 1
        assert len(world.records("approval.asked")) == 1
        await world.house.parts.approvals.voting.approve(approval_of(asked[0]), person("alice"))
        replies = await asyncio.gather(*(world.call(session, *WIPE) for _ in range(100)))
        assert ran(world) == 1
        assert all(reply.result == text_result("done") for reply in replies)
        assert len(world.records("call.replayed")) == 99


async def test_a_refusal_holds_until_the_question_would_have_expired(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await sign_up(world, "alice")
        session = await world.session()
        approval = approval_of(await world.call(session, *WIPE))
        await world.house.parts.approvals.voting.refuse(approval, person("alice"), "not that one")
        refused = await world.call(session, *WIPE)
        assert code_of(refused) == "approval_refused"
        assert refused.error is not None
        assert "not that one" in refused.error.message
        world.clock.advance(3601)
        assert approval_of(await world.call(session, *WIPE)) != approval
        assert ran(world) == 0


async def test_a_week_goes_by_and_the_question_expires_as_a_denial(tmp_path: Path) -> None:
    files = {
        "toolward.yaml": WARD + ROLES,
        "policies/a.cedar": policy("week", '@ask("owner") @expires("7d")'),
    }
    async with open_world(tmp_path, files=None) as world:
        await edit(world, files)
        await sign_up(world, "olga", "alice")
        session = await world.session()
        approval = approval_of(await world.call(session, *WIPE))
        voting = world.house.parts.approvals.voting
        await voting.approve(approval, person("olga"))
        world.clock.advance(7 * 86_400)
        assert state_of(world, approval) is ApprovalState.EXPIRED
        with pytest.raises(Denied, match="expired"):
            await voting.approve(approval, person("alice"))
        assert await world.house.parts.approvals.watch.tick() == 1
        [over] = world.records("approval.ended")
        assert (over["approval"], over["why"]) == (approval, "expired")
        assert approval_of(await world.call(session, *WIPE)) != approval, "the next retry asks anew"
        assert ran(world) == 0


async def test_what_an_approved_call_answered_taints_its_session_and_the_retry_still_gets_it(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        await sign_up(world, "alice")
        session, call = await world.session(), ("files/wipe", {"path": "/elsewhere/a"})
        approval = approval_of(await world.call(session, *call))
        await world.house.parts.approvals.voting.approve(approval, person("alice"))
        first = await world.call(session, *call)
        assert (await world.call(session, *call)).result == first.result
        assert ran(world) == 1
        assert [each["approval"] for each in world.records("call.replayed")] == [approval]


async def test_the_strict_profile_asks_for_what_is_not_proven_and_an_answer_lets_it_pass(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, files={"toolward.yaml": WARD.replace("guarded", "strict")}) as world:
        await sign_up(world, "alice")
        session, call = await world.session(), ("files/write", {"path": "/made/up", "text": "x"})
        approval = approval_of(await world.call(session, *call))
        await world.house.parts.approvals.voting.approve(approval, person("alice"))
        assert (await world.call(session, *call)).result == text_result("done")
        assert world.records("call.intent")[-1]["approvals"] == [approval]


async def test_what_is_no_tool_call_is_asked_about_and_runs_on_the_retry_too(tmp_path: Path) -> None:
    rule = '@id("reads") @ask("user") forbid (principal, action == Toolward::Action::"mcp:resources/read", resource);'
    async with open_world(tmp_path, files={"policies/a.cedar": rule}) as world:
        await sign_up(world, "alice")
        session = await world.session()

        async def read(uri: str) -> Reply:
            return await world.perform(session, Action.READ_RESOURCE, {"uri": uri}, server="files")

        approval = approval_of(await read("file:///a"))
        await world.house.parts.approvals.voting.approve(approval, person("alice"))
        assert approval_of(await read("file:///b")) != approval
        assert (await read("file:///a")).error is None
        assert ran(world, "files/file:///a") == 1
