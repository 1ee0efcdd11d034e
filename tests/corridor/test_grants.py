"""Standing grants: so many calls, of this kind, until then, by who could have approved each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.approvals_world import ROLES, approval_of, ask_desk, edit, policy, ran, sign_off, sign_up
from tests.harness import WARD, World, code_of, default_tools, open_world, tool

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import Denied, Rejected

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
FILES = {
    "toolward.yaml": WARD + ROLES,
    "policies/a.cedar": policy("rule", '@ask("owner")', tool="files/write"),
}


async def granted(world: World, session_id: str, by: str = "olga", **bounds: Any) -> dict[str, Any]:
    """A question, and a grant for calls like it."""
    await sign_up(world, "alice", "olga", "otto", "sven")
    approval = approval_of(await world.call(session_id, *WRITE))
    made: dict[str, Any] = await ask_desk(world, by, "grants.make", approval=approval, **bounds)
    return made


async def write(world: World, session: str, path: str = "/data/a", text: str = "x") -> str:
    """The refusal's code, "" when it ran."""
    reply = await world.call(session, "files/write", {"path": path, "text": text})
    return code_of(reply) if reply.error is not None else ""


async def test_a_grant_lets_like_calls_pass_and_is_used_up(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        made = await granted(world, session, uses=3)
        assert made["arguments"] == {"/path": {"equals": "/data/a"}}
        assert [await write(world, session, text=text) for text in "abc"] == ["", "", ""], "content is free"
        assert await write(world, session) == "approval_required", "it is used up"
        assert world.records("call.intent")[-1]["approvals"] == [made["grant"]]
        [shown] = await ask_desk(world, "olga", "grants.list")
        assert (shown["state"], shown["used"]) == ("used", 3)


async def test_what_is_not_alike_does_not_pass(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session, other = await world.session(), await world.session()
        await granted(world, session, session=True)
        assert await write(world, session, path="/data/b") == "approval_required"
        assert await write(world, other) == "approval_required", "another session"
        assert await write(world, session) == ""


async def test_a_grant_may_cover_all_below_a_path(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        await granted(world, session, arguments={"/path": {"under": "/data"}})
        assert await write(world, session, path="/data/deep/er") == ""
        assert await write(world, session, path="/data/../etc") == "approval_required"


async def test_a_hundred_calls_at_once_use_a_grant_of_ten_ten_times(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        await granted(world, session, uses=10)
        codes = await asyncio.gather(*(write(world, session, text=str(number)) for number in range(90)))
        assert ran(world, "files/write") == 10
        assert sorted(set(codes)) == ["", "approval_required"]
        assert codes.count("") == 10


async def test_the_count_outlives_a_restart(tmp_path: Path) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    async with open_world(tmp_path, files=FILES, store=store) as world:
        session = await world.session()
        await granted(world, session, uses=2)
        assert await write(world, session) == ""
    store.restart()
    async with open_world(tmp_path, store=store, approved=False) as world:
        assert [await write(world, session), await write(world, session)] == ["", "approval_required"]


@pytest.mark.parametrize("how", ["time", "end", "credential", "role", "policy"])
async def test_a_grant_ends_with_its_time_its_maker_its_rule_and_by_word(tmp_path: Path, how: str) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        made = await granted(world, session, expires_s=60)
        assert await write(world, session) == "", "the control"
        match how:
            case "time":
                world.clock.advance(60)
            case "end":
                ended = await ask_desk(world, "otto", "grants.end", grant=made["grant"])
                assert (ended["state"], ended["used"]) == ("ended", 1)
            case "credential":
                await sign_off(world, "olga")
            case "role":
                await edit(world, {"toolward.yaml": WARD + "roles: {owner: [otto]}\n"})
            case _:
                changed = policy("rule", '@ask("owner") @note("changed")', tool="files/write")
                await edit(world, {"policies/a.cedar": changed})
        assert await write(world, session) == "approval_required"


async def test_a_grant_lifts_only_the_rules_it_names(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        await granted(world, session)
        await edit(world, {"policies/b.cedar": policy("second", '@ask("security")', tool="files/write")})
        reply = await world.call(session, *WRITE)
        assert reply.error is not None
        assert reply.error.data["details"]["policies"] == "second", "the granted one is not asked about"
        await ask_desk(world, "sven", "approvals.approve", approval=approval_of(reply))
        assert await write(world, session) == ""
        assert len(world.records("call.intent")[-1]["approvals"]) == 2
        await edit(world, {"policies/b.cedar": policy("never", "", tool="files/write")})
        assert await write(world, session, text="another") == "denied"


@pytest.mark.parametrize(
    ("rule", "by"),
    [
        ('@ask("owner")', "sven"),
        ('@ask("owner")', "alice"),
        ('@ask("owner") @quorum("2")', "olga"),
        ('@ask("user") @four_eyes', "alice"),
    ],
)
async def test_who_could_not_approve_alone_can_not_grant(tmp_path: Path, rule: str, by: str) -> None:
    files = {**FILES, "policies/a.cedar": policy("rule", rule, tool="files/write")}
    async with open_world(tmp_path, files=files) as world:
        session = await world.session()
        with pytest.raises(Denied) as error:
            await granted(world, session, by=by)
        assert error.value.reason.code.value == "not_an_approver"
        assert await write(world, session) == "approval_required"


@pytest.mark.parametrize(
    "wrong",
    [
        {"uses": 0},
        {"uses": True},
        {"expires_s": 0},
        {"expires_s": 40 * 86_400},
        {"arguments": {"/path": {"anything": False}}},
        {"arguments": {"/path": {"under": ""}}},
        {"arguments": {"path": {"anything": True}}},
    ],
)
async def test_bounds_that_are_none_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        with pytest.raises(Rejected):
            await granted(world, await world.session(), **wrong)


async def test_a_grant_can_be_made_before_anything_was_asked(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        await sign_up(world, "olga")
        bounds = {
            "tool": "files/write",
            "user": "alice",
            "agent": "scripted",
            "arguments": {"/path": {"under": "/data"}},
        }
        with pytest.raises(Rejected, match="no rule"):
            await ask_desk(world, "olga", "grants.make", policies=["guarded/approved-tools"], **bounds)
        await ask_desk(world, "olga", "grants.make", policies=["rule"], **bounds)
        assert await write(world, await world.session()) == ""
        [made] = world.records("grant.made")
        assert (made["by"]["user"], made["policies"]) == ("olga", ["rule"])


async def test_the_narrowest_grant_is_used_up_first(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        wide = await granted(world, session, uses=1, arguments={"/path": {"anything": True}})
        like = {"approval": wide["approval"], "uses": 1}
        below = {"/path": {"under": "/data"}}
        under = await ask_desk(world, "olga", "grants.make", arguments=below, **like)
        exact = await ask_desk(world, "olga", "grants.make", **like)
        for _ in range(3):
            assert await write(world, session) == ""
        used = [record["approvals"] for record in world.records("call.intent")]
        assert used == [[exact["grant"]], [under["grant"]], [wide["grant"]]]


@pytest.mark.parametrize(
    ("granted_for", "asked_for"),
    [({"to": ["ana"]}, {"to": {"0": "ana"}}), ({"to": {"0": "ana"}}, {"to": ["ana"]})],
)
async def test_a_list_is_not_an_object_of_the_same_values(
    tmp_path: Path, granted_for: dict[str, Any], asked_for: dict[str, Any]
) -> None:
    tools = default_tools()
    tools["files"] = [{**tool("write"), "inputSchema": {"type": "object"}}]
    async with open_world(tmp_path, files=FILES, tools=tools) as world:
        await sign_up(world, "olga")
        session = await world.session()
        approval = approval_of(await world.call(session, "files/write", granted_for))
        await ask_desk(world, "olga", "grants.make", approval=approval)
        assert code_of(await world.call(session, "files/write", asked_for)) == "approval_required"
        assert (await world.call(session, "files/write", granted_for)).error is None, "the control"
