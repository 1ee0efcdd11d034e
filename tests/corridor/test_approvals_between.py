"""What may happen between a question and the execution, row by row of decision 14."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.approvals_world import (
    ROLES,
    approval_of,
    ask_desk,
    edit,
    person,
    policy,
    ran,
    sign_off,
    sign_up,
    state_of,
)
from tests.builders import FakeExchange
from tests.harness import WARD, World, code_of, default_tools, open_world, text_result, tool

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import Denied
from toolward.model.approval import ApprovalState
from toolward.model.call import Failed, Returned

OWNERS = '@ask("owner") @expires("7d")'
WRITE = ("files/write", {"path": "/data/a", "text": "x"})
ELSEWHERE = ("files/write", {"path": "/elsewhere/a", "text": "x"})
FILES = {
    "toolward.yaml": WARD + ROLES,
    "policies/a.cedar": policy("owners", OWNERS, tool="files/write"),
}


class Patient(FakeExchange):
    """A caller that can be kept waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.patience_s = 60.0
        self.told = asyncio.Event()

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        await super().notify(method, params)
        self.told.set()


async def approved(world: World, session: str, call: tuple[str, dict[str, str]] = WRITE) -> str:
    """A question that an owner has agreed to."""
    approval = approval_of(await world.call(session, *call))
    await ask_desk(world, "olga", "approvals.approve", approval=approval)
    assert state_of(world, approval) is ApprovalState.APPROVED
    return approval


async def test_nothing_asks_and_the_call_runs_which_is_the_control(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert (await world.call(await world.session(), *WRITE)).result == text_result("done")


async def test_a_restart_between_question_answer_and_retry_loses_nothing(tmp_path: Path) -> None:
    def opened() -> Any:
        return SqliteStore.open(tmp_path / "state", origin="test", clock=VirtualClock(), ids=CountingIds())

    store = opened()
    async with open_world(tmp_path, files=FILES, store=store) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = approval_of(await world.call(session, *WRITE))
    await store.close()
    store = opened()
    async with open_world(tmp_path, store=store, approved=False) as world:
        [shown] = await ask_desk(world, "olga", "approvals.list")
        assert (shown["approval"], shown["arguments"]) == (approval, WRITE[1])
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
    await store.close()
    store = opened()
    async with open_world(tmp_path, store=store, approved=False) as world:
        assert (await world.call(session, *WRITE)).result == text_result("done")
        assert ran(world, "files/write") == 1
    await store.close()
    store = opened()
    async with open_world(tmp_path, store=store, approved=False) as world:
        assert (await world.call(session, *WRITE)).result == text_result("done"), "the kept result"
        assert ran(world, "files/write") == 0
    await store.close()


async def test_a_week_long_question_expires_and_is_asked_anew(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = await approved(world, session)
        world.clock.advance(7 * 86_400 - 1)
        assert state_of(world, approval) is ApprovalState.APPROVED
        world.clock.advance(1)
        again = await world.call(session, *WRITE)
        assert approval_of(again) != approval
        [over] = world.records("approval.ended")
        assert (over["approval"], over["why"]) == (approval, "expired")
        with pytest.raises(Denied, match="expired"):
            await ask_desk(world, "olga", "approvals.approve", approval=approval)
        assert ran(world, "files/write") == 0


async def test_an_edited_policy_that_asked_makes_a_new_question(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = await approved(world, session)
        await edit(
            world, {"policies/a.cedar": policy("owners", OWNERS + ' @note("new")', tool="files/write")}
        )
        assert approval_of(await world.call(session, *WRITE)) != approval
        assert state_of(world, approval) is ApprovalState.ENDED, "the same call is another question now"
        assert ran(world, "files/write") == 0


async def test_an_unrelated_edit_changes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        await approved(world, session)
        await edit(world, {"policies/b.cedar": policy("other", '@ask("user")', tool="files/read")})
        assert (await world.call(session, *WRITE)).result == text_result("done")


async def test_a_policy_that_denies_by_now_denies(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        await approved(world, session)
        await edit(world, {"policies/b.cedar": policy("never", "", tool="files/write")})
        assert code_of(await world.call(session, *WRITE)) == "denied"
        assert ran(world, "files/write") == 0


async def test_a_policy_that_allows_by_now_lets_it_run_and_the_approval_stays_unused(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = await approved(world, session)
        await edit(world, {"policies/a.cedar": ""})
        assert (await world.call(session, *WRITE)).result == text_result("done")
        assert state_of(world, approval) is ApprovalState.APPROVED


async def test_another_argument_session_caller_or_version_is_another_question(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = await approved(world, session)
        other = await world.call(session, "files/write", {"path": "/data/a", "text": "y"})
        assert approval_of(other) != approval
        assert approval_of(await world.call(await world.session(), *WRITE)) != approval
        world.upstreams.tools["files"] = [
            *default_tools()["files"][:2],
            tool("write", "path", "text", title="new"),
        ]
        world.house.parts.drift.announce("files")
        assert code_of(await world.call(session, *WRITE)) == "quarantined"
        await world.approve_all()
        assert approval_of(await world.call(session, *WRITE)) != approval
        assert ran(world, "files/write") == 0


async def test_a_revoked_tool_does_not_run_whatever_was_approved(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        await approved(world, session)
        await world.house.parts.registry.revoke("files/write", by=person("olga"), why="")
        assert code_of(await world.call(session, *WRITE)) == "revoked"
        assert ran(world, "files/write") == 0


async def test_new_taint_asks_again_with_more_policies_named(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga", "alice")
        session = await world.session()
        approval = await approved(world, session, ELSEWHERE)
        await world.call(session, "files/read", {"path": "/data/x"})
        again = await world.call(session, *ELSEWHERE)
        assert approval_of(again) != approval
        assert again.error is not None
        assert "guarded/write-after-taint" in again.error.data["details"]["policies"]
        await ask_desk(world, "olga", "approvals.approve", approval=approval_of(again))
        assert code_of(await world.call(session, *ELSEWHERE)) == "approval_required", (
            "the user has to agree as well"
        )
        await ask_desk(world, "alice", "approvals.approve", approval=approval_of(again))
        assert (await world.call(session, *ELSEWHERE)).result == text_result("done")


async def test_new_taint_that_denies_denies(tmp_path: Path) -> None:
    rule = policy("tainted", "", tool="files/write", when="context.session.tainted")
    async with open_world(tmp_path, files={**FILES, "policies/b.cedar": rule}) as world:
        await sign_up(world, "olga")
        session = await world.session()
        await approved(world, session)
        await world.call(session, "files/read", {"path": "/data/x"})
        assert code_of(await world.call(session, *WRITE)) == "denied"


@pytest.mark.parametrize("now", ["denied", "allowed"])
async def test_a_retry_of_what_ran_is_told_so_even_where_the_policy_says_otherwise_by_now(
    tmp_path: Path, now: str
) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        await approved(world, session)
        first = await world.call(session, *WRITE)
        await edit(
            world, {"policies/a.cedar": policy("never", "", tool="files/write") if now == "denied" else ""}
        )
        again = await world.call(session, *WRITE)
        assert (again.result, ran(world, "files/write")) == (first.result, 1)
        assert again.receipt is not None
        assert again.receipt["replayed"] == first.call_id
        other = await world.call(session, "files/write", {**WRITE[1], "text": "y"})
        assert (other.error is None) == (now == "allowed"), "another call is another call"
        world.clock.advance(15 * 60)
        assert ((await world.call(session, *WRITE)).error is None) == (now == "allowed")
        assert ran(world, "files/write") == (3 if now == "allowed" else 1)


@pytest.mark.parametrize("lost", ["role", "credential"])
async def test_a_vote_whose_voter_lost_role_or_credential_does_not_count(tmp_path: Path, lost: str) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga", "otto")
        session = await world.session()
        approval = await approved(world, session)
        if lost == "role":
            await edit(world, {"toolward.yaml": WARD + "roles: {owner: [otto]}\n"})
        else:
            await sign_off(world, "olga")
        assert approval_of(await world.call(session, *WRITE)) == approval
        assert ran(world, "files/write") == 0
        await ask_desk(world, "otto", "approvals.approve", approval=approval)
        assert (await world.call(session, *WRITE)).result == text_result("done")
        assert world.records("call.intent")[-1]["approved_by"] == ["otto"]


async def test_what_surely_did_not_happen_does_not_use_the_answer_up(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()

        async def unreachable(*_: object) -> Failed:
            return Failed(code=-1, message="no", reason="tool_unreachable", from_server=False)

        world.upstreams.answers["files/write"] = unreachable
        approval = await approved(world, session)
        assert (await world.call(session, *WRITE)).error is not None
        assert state_of(world, approval) is ApprovalState.APPROVED
        world.upstreams.answers["files/write"] = "done"
        assert (await world.call(session, *WRITE)).result == text_result("done")
        assert state_of(world, approval) is ApprovalState.USED


async def test_a_retry_while_it_runs_waits_for_the_one_result(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        started, go = asyncio.Event(), asyncio.Event()

        async def slow(*_: object) -> Returned:
            started.set()
            await go.wait()
            return Returned(result=text_result("slowly"), size_bytes=6)

        world.upstreams.answers["files/write"] = slow
        await approved(world, session)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(world.call(session, *WRITE))
            await started.wait()
            second = group.create_task(world.call(session, *WRITE))
            go.set()
        assert first.result().result == second.result().result == text_result("slowly")
        assert ran(world, "files/write") == 1


async def test_a_patient_caller_gets_the_result_when_a_person_answers(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        session = await world.session()
        exchange = Patient()
        async with asyncio.TaskGroup() as group:
            call = group.create_task(world.call(session, *WRITE, exchange=exchange))
            await exchange.told.wait()
            [waiting] = await ask_desk(world, "olga", "approvals.list")
            await ask_desk(world, "olga", "approvals.approve", approval=waiting["approval"])
        assert call.result().result == text_result("done")
        method, said = exchange.heard[0]
        assert (method, said["message"]) == ("notifications/progress", "waiting for a person to approve")


async def test_patience_ends_and_the_caller_is_told_what_to_wait_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        exchange = FakeExchange()
        exchange.patience_s = 0.5
        reply = await world.call(await world.session(), *WRITE, exchange=exchange)
        assert reply.error is not None
        details = reply.error.data["details"]
        assert details["approval"] == approval_of(reply)
        assert (details["roles"], details["quorum"], details["four_eyes"]) == ("owner", "1", "no")
        assert details["expires"].endswith("Z")
        assert exchange.heard


async def test_a_rule_may_have_it_run_when_the_last_vote_arrives(tmp_path: Path) -> None:
    rule = policy("owners", '@ask("owner") @quorum("2") @execute("approval")', tool="files/write")
    async with open_world(tmp_path, files={**FILES, "policies/a.cedar": rule}) as world:
        await sign_up(world, "olga", "otto")
        session = await world.session()
        approval = approval_of(await world.call(session, *WRITE))
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        await world.house.background.drain()
        assert ran(world, "files/write") == 0
        await ask_desk(world, "otto", "approvals.approve", approval=approval)
        await world.house.background.drain()
        assert world.upstreams.ran[-1] == ("files/write", WRITE[1], True), "with the frozen arguments"
        assert (await world.call(session, *WRITE)).result == text_result("done"), "the retry gets the result"
        assert ran(world, "files/write") == 1


async def test_what_should_have_run_at_once_runs_after_a_crash(tmp_path: Path) -> None:
    rule = policy("owners", '@ask("owner") @execute("approval")', tool="files/write")
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    async with open_world(tmp_path, files={**FILES, "policies/a.cedar": rule}, store=store) as world:
        await sign_up(world, "olga")
        approval = approval_of(await world.call(await world.session(), *WRITE))
        store.fail_at = frozenset({store.commits + 2})  # the vote is durable, the intent is not
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        await world.house.background.drain()
        assert ran(world, "files/write") == 0
    store.restart()
    async with open_world(tmp_path, store=store, approved=False) as world:
        await world.house.background.drain()
        assert ran(world, "files/write") == 1
        assert state_of(world, approval) is ApprovalState.USED
