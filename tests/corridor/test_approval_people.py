"""Who may answer, and what is refused: each refusal has its code and its record."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.approvals_world import (
    ROLES,
    approval_of,
    ask_desk,
    edit,
    policy,
    ran,
    sign_off,
    sign_up,
    state_of,
)
from tests.harness import AGENT, WARD, World, code_of, open_world, text_result

from toolward.errors import Denied, Rejected
from toolward.governance.desk import invoke
from toolward.kernel.approvals.approvals import Approvals
from toolward.model.approval import Approval, ApprovalState
from toolward.model.principal import CredentialKind, Principal

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
EVERYBODY = ("alice", "olga", "otto", "sven", "sara", "carla", "greta", "mallory")


def ward(annotations: str, config: str = ROLES) -> dict[str, str]:
    return {
        "toolward.yaml": WARD + config,
        "policies/a.cedar": policy("rule", annotations, tool="files/write"),
    }


async def asked(world: World) -> tuple[str, str]:
    """Everybody signed up, and a question: session and approval."""
    await sign_up(world, *EVERYBODY)
    session = await world.session()
    return session, approval_of(await world.call(session, *WRITE))


async def refused(world: World, by: str, verb: str, **parameters: object) -> str:
    """The code with which an answer is refused."""
    with pytest.raises(Denied) as error:
        await ask_desk(world, by, verb, **parameters)
    return error.value.reason.code.value


async def test_who_asked_may_agree_unless_the_rule_wants_four_eyes(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("user")')) as world:
        session, approval = await asked(world)
        await ask_desk(world, "alice", "approvals.approve", approval=approval)
        assert (await world.call(session, *WRITE)).error is None, "the control: without four eyes it works"


async def test_self_approval_under_four_eyes_is_refused_and_on_record(tmp_path: Path) -> None:
    roles = "roles: {owner: [alice, olga]}\n"
    async with open_world(tmp_path, files=ward('@ask("owner") @four_eyes', roles)) as world:
        session, approval = await asked(world)
        assert await refused(world, "alice", "approvals.approve", approval=approval) == "not_an_approver"
        [vote] = world.records("approval.voted")
        assert (vote["by"]["user"], vote["counted"], vote["code"]) == ("alice", False, "not_an_approver")
        assert code_of(await world.call(session, *WRITE)) == "approval_required"
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        assert (await world.call(session, *WRITE)).error is None


async def test_a_person_counts_once_however_often_and_with_however_many_credentials(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner") @quorum("2")')) as world:
        session, approval = await asked(world)
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        assert await refused(world, "olga", "approvals.approve", approval=approval) == "not_pending"
        assert code_of(await world.call(session, *WRITE)) == "approval_required"
        await ask_desk(world, "otto", "approvals.approve", approval=approval)
        assert (await world.call(session, *WRITE)).error is None


async def test_each_role_has_to_speak_where_no_single_one_may(tmp_path: Path) -> None:
    files = ward('@ask("owner")')
    files["policies/b.cedar"] = policy("second", '@ask("security")', tool="files/write")
    async with open_world(tmp_path, files=files) as world:
        session, approval = await asked(world)
        shown = await ask_desk(world, "olga", "approvals.show", approval=approval)
        assert shown["need"]["every_role"] is True
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        await ask_desk(world, "otto", "approvals.approve", approval=approval)
        assert state_of(world, approval) is ApprovalState.PENDING, "two owners are no security"
        await ask_desk(world, "sven", "approvals.approve", approval=approval)
        assert (await world.call(session, *WRITE)).error is None


async def test_agents_strangers_and_removed_approvers_can_not_answer(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner")')) as world:
        _, approval = await asked(world)
        with pytest.raises(Rejected, match="person"):
            await invoke(world.house.desk, "approvals.approve", {"approval": approval}, AGENT)
        voting = world.house.parts.approvals.voting
        forged = Principal(
            user="olga", agent="x", credential="key-1", kind=CredentialKind.API_KEY, roles=("owner",)
        )
        for by in (AGENT, forged):
            with pytest.raises(Denied) as error:
                await voting.approve(approval, by)
            assert error.value.reason.code.value == "not_an_approver"
        assert await refused(world, "mallory", "approvals.approve", approval=approval) == "not_an_approver"
        await sign_off(world, "olga")
        assert await refused(world, "olga", "approvals.approve", approval=approval) == "not_an_approver"
        await edit(world, {"toolward.yaml": WARD + "roles: {owner: [olga]}\n"})
        assert await refused(world, "otto", "approvals.approve", approval=approval) == "not_an_approver"
        assert await refused(world, "olga", "approvals.approve", approval="none") == "not_pending"
        assert all(not vote["counted"] for vote in world.records("approval.voted"))


async def test_an_answer_is_used_once_and_can_not_be_played_again(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner")')) as world:
        session, approval = await asked(world)
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        await world.call(session, *WRITE)
        assert await refused(world, "otto", "approvals.approve", approval=approval) == "not_pending"
        world.clock.advance(3600)
        assert code_of(await world.call(session, *WRITE)) == "approval_required"
        assert ran(world, "files/write") == 1


async def test_a_no_is_in_time_until_it_ran(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner")')) as world:
        session, approval = await asked(world)
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        await ask_desk(world, "otto", "approvals.refuse", approval=approval, note="wait")
        assert code_of(await world.call(session, *WRITE)) == "approval_refused"
        assert await refused(world, "otto", "approvals.approve", approval=approval) == "not_pending"


async def test_one_session_can_not_flood_people_with_questions(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner")')) as world:
        session = await world.session()
        for number in range(100):
            reply = await world.call(session, "files/write", {"path": f"/data/{number}", "text": "x"})
            assert code_of(reply) == "approval_required"
        assert code_of(await world.call(session, *WRITE)) == "overloaded"
        assert code_of(await world.call(await world.session(), *WRITE)) == "approval_required", "others can"


# --- break glass -------------------------------------------------------------------------------------------


async def test_breaking_the_glass_lifts_alone_and_leaves_an_incident_for_another_person(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner") @quorum("2") @four_eyes')) as world:
        session, approval = await asked(world)
        broken = {"approval": approval, "reason": "the site is down"}
        assert await refused(world, "olga", "approvals.break_glass", **broken) == "not_an_approver"
        assert (
            await refused(world, "greta", "approvals.break_glass", approval=approval, reason=" ")
            == "not_an_approver"
        )
        shown = await ask_desk(world, "greta", "approvals.break_glass", **broken)
        assert shown["state"] == "approved"
        assert (await world.call(session, *WRITE)).result == text_result("done")
        assert world.records("call.intent")[-1]["approved_by"] == ["greta"]
        [incident] = [each for each in world.house.parts.incidents.all() if not each.restored_ns]
        assert "the site is down" in incident.text
        assert await refused(world, "greta", "approvals.review", approval=approval) == "not_an_approver"
        await ask_desk(world, "olga", "approvals.review", approval=approval, note="it was")
        assert all(each.restored_ns for each in world.house.parts.incidents.all())
        assert world.records("incident.restored")[-1]["by"]["user"] == "olga"
        assert await refused(world, "olga", "approvals.review", approval=approval) == "not_pending"


async def test_a_broken_glass_lifts_nothing_that_is_not_askable(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner")')) as world:
        session, approval = await asked(world)
        await ask_desk(world, "greta", "approvals.break_glass", approval=approval, reason="now")
        await edit(world, {"policies/b.cedar": policy("never", "", tool="files/write")})
        assert code_of(await world.call(session, *WRITE)) == "denied"
        await edit(world, {"policies/b.cedar": "", "toolward.yaml": WARD + "roles: {owner: [olga]}\n"})
        assert code_of(await world.call(session, *WRITE)) == "approval_required", "nor without the role"


# --- time --------------------------------------------------------------------------------------------------

TIMED = "approvals: {remind_after_s: 600, escalate_after_s: 1200, escalate_to: [chief]}\n"


def watch_of(world: World) -> Approvals:
    return world.house.parts.approvals


async def test_people_are_reminded_and_others_asked_but_never_fewer(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner") @quorum("2")', ROLES + TIMED)) as world:
        session, approval = await asked(world)
        watch = watch_of(world).watch
        assert await refused(world, "carla", "approvals.approve", approval=approval) == "not_an_approver"
        assert await watch.tick() == 0
        world.clock.advance(600)
        assert await watch.tick() == 1
        assert await watch.tick() == 0
        world.clock.advance(600)
        await watch.tick()
        first, second = world.records("approval.reminded")
        assert (first["escalated"], second["escalated"]) == (False, True)
        assert second["roles"] == ["owner", "chief"]
        await ask_desk(world, "carla", "approvals.approve", approval=approval)
        assert code_of(await world.call(session, *WRITE)) == "approval_required", "the quorum stays"
        await edit(world, {"toolward.yaml": WARD + ROLES + TIMED.replace("[chief]", "[security]")})
        assert world.house.parts.approvals.ground.voters(found(world, approval)) == [], (
            "nor who was named then"
        )
        await edit(world, {"toolward.yaml": WARD + ROLES + TIMED})
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        assert (await world.call(session, *WRITE)).error is None


def found(world: World, approval: str) -> Approval:
    return world.house.parts.approvals.ground.found(approval).approval


async def test_reminders_go_on_after_a_restart_and_end_with_the_answer(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward('@ask("owner")', ROLES + TIMED)) as world:
        _, approval = await asked(world)
        store = world.store
    async with open_world(tmp_path, store=restarted(store), approved=False) as world:
        watch = watch_of(world).watch
        world.clock.advance(600)
        assert await watch.tick() == 1
        assert len(world.records("approval.reminded")) == 1
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        world.clock.advance(600)
        await watch.tick()
        assert len(world.records("approval.reminded")) == 1, "it is the agent's turn"
        world.clock.advance(3600)
        await watch.tick()
        assert world.records("approval.ended")[-1]["why"] == "expired"


def restarted(store: object) -> object:
    store.restart()
    return store
