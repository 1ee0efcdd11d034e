"""What an approval must not carry: a second execution, a caller who is gone, a vote that one person gave twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals_world import ROLES, approval_of, ask_desk, edit, policy, ran, sign_up, state_of
from harness import OPERATOR, WARD, code_of, open_world
from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.config.limits import APPROVALS_PENDING_BYTES_MAX
from toolward.errors import Denied
from toolward.governance.desk import invoke
from toolward.model.approval import ApprovalState
from toolward.model.call import Failed
from toolward.model.principal import CredentialKind, Principal

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
ONLY_WRITERS = """@id("only-writers")
forbid (principal, action in Toolward::Action::"call", resource == Toolward::Tool::"files/write")
unless { principal in Toolward::Role::"writers" };
"""


def files(rule: str) -> dict[str, str]:
    return {"toolward.yaml": WARD + ROLES, "policies/a.cedar": policy("rule", rule, tool="files/write")}


@pytest.mark.parametrize("how", ['@execute("approval")', ""])
async def test_what_ran_by_its_approval_does_not_run_again_by_a_grant(tmp_path: Path, how: str) -> None:
    async with open_world(tmp_path, files=files(f'@ask("owner") {how}')) as world:
        await sign_up(world, "olga")
        session = await world.session()
        asked = approval_of(await world.call(session, *WRITE))
        await ask_desk(world, "olga", "approvals.approve", approval=asked)
        if not how:
            assert (await world.call(session, *WRITE)).error is None
        await ask_desk(world, "olga", "grants.make", approval=asked, session=True)
        await world.house.background.drain()
        again = await world.call(session, *WRITE)
        assert again.error is None
        assert ran(world, "files/write") == 1, "the retry has the kept result"
        other = {**WRITE[1], "text": "y"}
        assert (await world.call(session, WRITE[0], other)).error is None
        assert ran(world, "files/write") == 2, "the control: the grant covers the next one"


async def test_a_call_of_a_revoked_key_does_not_run_when_it_is_approved(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files('@ask("owner") @execute("approval")')) as world:
        await sign_up(world, "olga")
        made = await invoke(world.house.desk, "keys.create", {"agent": "scripted", "user": "alice"}, OPERATOR)
        keyed = Principal(
            user="alice", agent="scripted", credential=made["name"], kind=CredentialKind.API_KEY
        )
        session = await world.session(keyed)
        asked = approval_of(await world.call(session, *WRITE, principal=keyed))
        await invoke(world.house.desk, "keys.revoke", {"name": made["name"]}, OPERATOR)
        await ask_desk(world, "olga", "approvals.approve", approval=asked)
        await world.house.background.drain()
        assert ran(world, "files/write") == 0
        assert state_of(world, asked) is ApprovalState.ENDED


async def test_a_vote_carries_no_call_over_a_rule_about_a_role_that_was_taken_away(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files('@ask("owner") @execute("approval")')) as world:
        writers = {"toolward.yaml": WARD + ROLES + "  writers: [alice]\n", "policies/b.cedar": ONLY_WRITERS}
        await edit(world, writers)
        await sign_up(world, "olga")
        made = await invoke(world.house.desk, "keys.create", {"agent": "scripted", "user": "alice"}, OPERATOR)
        bare = Principal(user="alice", agent="scripted", credential=made["name"], kind=CredentialKind.API_KEY)
        keyed = Principal(
            user="alice",
            agent="scripted",
            roles=("writers",),
            credential=made["name"],
            kind=CredentialKind.API_KEY,
        )
        assert code_of(await world.call(await world.session(bare), *WRITE, principal=bare)) == "denied"
        asked = approval_of(await world.call(await world.session(keyed), *WRITE, principal=keyed))
        await edit(world, {"toolward.yaml": WARD + ROLES})
        await ask_desk(world, "olga", "approvals.approve", approval=asked)
        await world.house.background.drain()
        assert ran(world, "files/write") == 0


async def test_nobody_makes_a_second_person_to_vote_with(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files('@ask("owner") @quorum("2")')) as world:
        await sign_up(world, "olga")
        with pytest.raises(Denied, match="admin"):
            await ask_desk(world, "olga", "keys.create", kind="person", user="otto")
        await edit(world, {"toolward.yaml": WARD + ROLES + "  admin: [olga]\n"})
        made = await ask_desk(world, "olga", "keys.create", kind="person", user="otto")
        assert made["user"] == "otto", "whom the ward trusts with it may"


async def test_people_who_said_no_are_not_asked_the_same_under_another_key(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files('@ask("owner")')) as world:
        await sign_up(world, "olga")
        session = await world.session()
        first, second = [approval_of(await world.call(session, *WRITE, once=key)) for key in ("k1", "k2")]
        await ask_desk(world, "olga", "approvals.approve", approval=second)
        await ask_desk(world, "olga", "approvals.refuse", approval=first, note="use the test account")
        for number in range(5):
            refused = await world.call(session, *WRITE, once=f"other-{number}")
            assert code_of(refused) == "approval_refused"
            assert "use the test account" in str(refused.error)
        assert code_of(await world.call(session, *WRITE)) == "approval_refused", "without a key, too"
        assert len(world.records("approval.asked")) == 2
        assert (await world.call(session, *WRITE, once="k2")).error is None, "what was agreed to, stands"
        other = {**WRITE[1], "text": "y"}
        assert code_of(await world.call(session, WRITE[0], other, once="k3")) == "approval_required"
        world.clock.advance(3601)
        assert code_of(await world.call(session, *WRITE, once="late")) == "approval_required"


async def test_one_caller_can_not_fill_the_disk_with_questions(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files('@ask("owner")')) as world:
        await sign_up(world, "olga")
        session, large = await world.session(), "x" * 900_000
        asked = []
        while True:
            reply = await world.call(session, WRITE[0], {"path": f"/data/{len(asked)}", "text": large})
            if code_of(reply) == "overloaded":
                break
            asked.append(approval_of(reply))
        assert len(asked) * 900_000 <= APPROVALS_PENDING_BYTES_MAX < (len(asked) + 1) * 900_100
        assert code_of(await world.call(session, *WRITE)) == "approval_required", "a small one has its place"
        await ask_desk(world, "olga", "approvals.refuse", approval=asked[0])
        again = {"path": "/data/again", "text": large}
        assert code_of(await world.call(session, WRITE[0], again)) == "approval_required"


@pytest.mark.parametrize("how", ["its server was away", "the answer is old"])
async def test_what_was_agreed_to_long_ago_or_in_vain_runs_only_for_who_still_wants_it(
    tmp_path: Path, how: str
) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())

    async def unreachable(*_: object) -> Failed:
        return Failed(code=-1, message="no", reason="tool_unreachable", from_server=False)

    rule = files('@ask("owner") @execute("approval")')
    async with open_world(tmp_path, files=rule, store=store) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = approval_of(await world.call(session, *WRITE))
        if how == "its server was away":
            world.upstreams.answers["files/write"] = unreachable
        else:
            store.fail_at = frozenset({store.commits + 2})  # the vote is durable, the intent is not
        await ask_desk(world, "olga", "approvals.approve", approval=approval)
        await world.house.background.drain()
    store.restart()
    clock = VirtualClock()
    clock.advance(60 if how == "its server was away" else 16 * 60)
    async with open_world(tmp_path, store=store, approved=False, clock=clock) as world:
        await world.house.background.drain()
        assert ran(world, "files/write") == 0, "nobody waits for it any more, as far as anybody knows"
        assert state_of(world, approval) is ApprovalState.APPROVED
        assert (await world.call(session, *WRITE)).error is None, "who asks again is not asked about again"
        assert ran(world, "files/write") == 1


async def test_questions_are_listed_newest_first_page_by_page_whatever_their_state(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=files('@ask("owner")')) as world:
        await sign_up(world, "olga")
        session, asked = await world.session(), []
        for number in range(7):
            call = {"path": f"/data/{number}", "text": "x"}
            asked.append(approval_of(await world.call(session, WRITE[0], call)))
        await ask_desk(world, "olga", "approvals.refuse", approval=asked[3])

        async def pages(**parameters: Any) -> list[list[str]]:
            found, before = [], ""
            while page := await ask_desk(
                world, "olga", "approvals.list", limit=2, before=before, **parameters
            ):
                found.append([row["approval"] for row in page])
                before = found[-1][-1]
            return found

        newest = asked[::-1]
        assert await pages(state="") == [newest[0:2], newest[2:4], newest[4:6], newest[6:]]
        waiting = [each for each in newest if each != asked[3]]
        assert await pages(state="pending") == [waiting[0:2], waiting[2:4], waiting[4:6]]
        assert await pages(state="refused") == [[asked[3]]]
