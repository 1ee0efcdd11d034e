"""What an approval must not carry: a second execution, a caller who is gone, a vote that one person gave twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals_world import ROLES, approval_of, ask_desk, edit, policy, ran, sign_up, state_of
from harness import OPERATOR, WARD, code_of, open_world
from toolward.errors import Denied
from toolward.governance.desk import invoke
from toolward.model.approval import ApprovalState
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
