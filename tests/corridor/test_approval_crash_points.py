"""From ask to execution, cut off at every commit: what was durable goes on, and nothing happens twice.

The disk fails at each commit in turn, as `kill -9` leaves it: the process is started again on what was
written, and agent and person go on as they would. The effects are counted by the fake server, which no crash
of the gateway can make forget.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.approvals_world import ROLES, ask_desk, policy, sign_up
from tests.harness import WARD, World, code_of, open_world

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import AuditUnavailable

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
STEPS = {
    "retry": ["asked", "asked on record", "first vote", "second vote", "intent", "outcome"],
    "approval": ["asked", "asked on record", "first vote", "second vote", "intent", "outcome", "replayed"],
}


async def go_on(world: World, session: str) -> str:
    """Agent and people do what is next, until the agent has an answer or the disk is broken."""
    for _ in range(4):
        reply = await world.call(session, *WRITE)
        if reply.error is None:
            return "done"
        if code_of(reply) != "approval_required":
            return code_of(reply)
        approval = reply.error.data["details"]["approval"]
        for user in ("olga", "otto"):
            try:
                shown = await ask_desk(world, user, "approvals.show", approval=approval)
                if user not in [vote["by"] for vote in shown["votes"]]:
                    await ask_desk(world, user, "approvals.approve", approval=approval)
            except AuditUnavailable:
                return "audit_unavailable"
        await world.house.background.drain()
    raise AssertionError("nobody gets any further")


def files(execute: str) -> dict[str, str]:
    rule = policy("rule", f'@ask("owner") @quorum("2") @execute("{execute}")', tool="files/write")
    return {"toolward.yaml": WARD + ROLES, "policies/a.cedar": rule}


async def opened(world: World) -> str:
    await sign_up(world, "olga", "otto")
    return await world.session()


@pytest.mark.parametrize("execute", ["retry", "approval"])
async def test_the_number_of_crash_points_is_known(tmp_path: Path, execute: str) -> None:
    async with open_world(tmp_path, files=files(execute)) as world:
        session = await opened(world)
        before = world.store.commits
        assert await go_on(world, session) == "done"
        assert world.store.commits - before == len(STEPS[execute])


@pytest.mark.parametrize(
    ("execute", "point"),
    [(execute, point + 1) for execute, steps in STEPS.items() for point in range(len(steps))],
)
async def test_a_crash_at_any_commit_loses_no_answer_and_doubles_no_effect(
    tmp_path: Path, execute: str, point: int
) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    effects = 0
    async with open_world(tmp_path, files=files(execute), store=store) as world:
        session = await opened(world)
        store.fail_at = frozenset({store.commits + point})
        assert await go_on(world, session) == "audit_unavailable"
        effects += len(world.upstreams.ran)
        assert all(durable for _, _, durable in world.upstreams.ran), "no effect without a durable intent"
    store.restart()
    async with open_world(tmp_path, store=store, approved=False) as world:
        await world.house.background.drain()
        answers = [await go_on(world, session), await go_on(world, session)]
        effects += len(world.upstreams.ran)
        assert effects == 1
        asked = world.records("approval.asked")
        assert len(asked) == 1, "no person is asked twice about one call"
        voters = [vote["by"]["user"] for vote in world.records("approval.voted") if vote["counted"]]
        assert sorted(voters) == ["olga", "otto"], "no vote is lost, none counts twice"
        lost = STEPS[execute][point - 1 : point] == ["outcome"]
        assert answers == (["unknown_outcome"] * 2 if lost else ["done"] * 2)
        assert not store.open_calls()
