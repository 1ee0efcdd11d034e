"""Meta-tools are no way around: search shows what the list shows, `call_tool` is the call of the tool it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import AGENT, MANIFESTS, OPERATOR, WARD, World, code_of, open_world, tool

from toolward.kernel.attempt import IDEMPOTENCY_META
from toolward.model.call import Action, Reply
from toolward.model.principal import CredentialKind, Principal

OTHER = Principal(user="alice", agent="other", credential="key-1", kind=CredentialKind.API_KEY)
BOTH = WARD + "discovery: {face: both}\n"


def ward(**more: str) -> dict[str, str]:
    return {"toolward.yaml": BOTH, **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()}, **more}


async def meta(world: World, session: str, name: str, arguments: dict[str, Any], **more: Any) -> Reply:
    params = {"name": f"toolward__{name}", "arguments": arguments, **more.pop("params", {})}
    return await world.perform(session, Action.CALL_TOOL, params, **more)


async def names(world: World, session: str, query: str, **more: Any) -> list[str]:
    reply = await meta(world, session, "search_tools", {"query": query, "limit": 50}, **more)
    assert reply.result is not None, reply.error
    assert orjson.loads(reply.result["content"][0]["text"]) == reply.result["structuredContent"]
    return [str(each["name"]) for each in reply.result["structuredContent"]["tools"]]


async def listed(world: World, session: str, **more: Any) -> list[str]:
    reply = await world.perform(session, Action.LIST_TOOLS, {}, **more)
    assert reply.result is not None
    return [str(each["name"]) for each in reply.result["tools"]]


META = ["toolward__search_tools", "toolward__describe_tool", "toolward__call_tool", "toolward__declare_plan"]


@pytest.mark.parametrize(
    ("face", "meta_tools", "tools"), [("list", [], 6), ("search", META, 0), ("both", META, 6)]
)
async def test_the_face_decides_what_stands_in_the_list_and_an_agent_may_have_its_own(
    tmp_path: Path, face: str, meta_tools: list[str], tools: int
) -> None:
    text = WARD + f"agents: {{scripted: {{face: {face}}}}}\n"
    async with open_world(tmp_path, files=ward(**{"toolward.yaml": text})) as world:
        found = await listed(world, await world.session())
        assert found[: len(meta_tools)] == meta_tools
        assert len(found) == len(meta_tools) + tools
        assert len(await listed(world, await world.session(OTHER), principal=OTHER)) == 6


async def test_without_meta_tools_their_names_are_no_tools(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        for name in META:
            reply = await world.perform(
                session, Action.CALL_TOOL, {"name": name, "arguments": {"query": "x"}}
            )
            assert code_of(reply) == "unknown_tool"


# --- search shows no more than the list ------------------------------------------------------------------

NOT_FOR_OTHER = """
@id("own/no-mail") @reason("this agent reads no mail")
forbid (principal, action in Toolward::Action::"server:mail", resource)
when { context.agent == Toolward::Agent::"other" };
"""


async def test_search_and_description_show_what_policy_could_allow_this_caller_and_nothing_else(
    tmp_path: Path,
) -> None:
    files = ward(**{"policies/own.cedar": NOT_FOR_OTHER})
    async with open_world(tmp_path, files=files) as world:
        mine, others = await world.session(), await world.session(OTHER)
        query = "the tool send fetch read write wipe"
        assert set(await names(world, mine, query)) == set(await listed(world, mine)) - set(META)
        assert "mail__send" in await names(world, mine, "send")  # the control: it is there to be found
        assert await names(world, others, "send fetch", principal=OTHER) == []
        assert set(await names(world, others, query, principal=OTHER)) == {
            "files__read",
            "files__read_secret",
            "files__write",
            "files__wipe",
        }
        seen = await meta(world, mine, "describe_tool", {"tool": "mail__send"})
        assert seen.result is not None
        assert seen.result["structuredContent"]["definition"]["name"] == "mail__send"
        hidden = await meta(world, others, "describe_tool", {"tool": "mail__send"}, principal=OTHER)
        absent = await meta(world, others, "describe_tool", {"tool": "mail__sent"}, principal=OTHER)
        assert hidden.error is not None
        assert absent.error is not None
        assert hidden.error.message.replace("send", "sent") == absent.error.message


async def test_tools_that_nobody_approved_and_revoked_ones_are_not_found(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward(), approved=False) as world:
        await world.house.parts.drift.refresh("files")
        session = await world.session()
        assert await names(world, session, "read write") == []
        await world.house.parts.registry.approve("files/read", by=OPERATOR)
        await world.house.desk.repin(OPERATOR)
        assert await names(world, session, "read write") == ["files__read"]
        await world.house.parts.registry.revoke("files/read", by=OPERATOR, why="gone")
        await world.house.desk.repin(OPERATOR)
        assert await names(world, session, "read write") == []


async def test_search_is_a_recorded_action_that_a_policy_can_forbid_and_that_taints_nothing(
    tmp_path: Path,
) -> None:
    rule = (
        '@id("own/no-search") forbid (principal, action == Toolward::Action::"toolward:search_tools", resource)'
        ' when { context.args has query && context.args.query like "*secret*" };'
    )
    files = ward(**{"policies/own.cedar": rule})
    async with open_world(tmp_path, files=files) as world:
        session = await world.session()
        assert await names(world, session, "wipe") == ["files__wipe"]
        assert code_of(await meta(world, session, "search_tools", {"query": "a secret"})) == "denied"
        [found] = world.records("call.merged")
        assert (found["action"], found["decision"]) == ("toolward/search_tools", "allow")
        assert found["policies"] == ["guarded/mcp"]
        assert world.records("call.denied")[-1]["action"] == "toolward/search_tools"
        current = world.house.parts.sessions.current(session)
        assert current is not None
        assert current.taint.as_json() == {"integrity": "trusted", "confidentiality": "public"}
        assert world.upstreams.ran == []


async def test_a_word_of_a_description_proves_nothing(tmp_path: Path) -> None:
    """What a search said is no person's word: an address from a description stays the model's own."""
    tools = {
        "mail": [tool("send", "to", "text", description="send a mail to sales@example.com")],
        "files": [],
    }
    async with open_world(tmp_path, files=ward(), tools=tools) as world:
        session = await world.session(prompt="send somebody a mail")
        assert await names(world, session, "sales")
        reply = await world.call(session, "mail/send", {"to": "sales@example.com", "text": "hi"})
        assert code_of(reply) == "approval_required"


# --- call_tool is the call of the tool that it names --------------------------------------------------------

INNER = """
@id("own/no-etc") @reason("not in /etc")
forbid (principal, action == Toolward::Action::"files/read", resource)
when { context.args.path like "/etc/*" };
"""


async def test_policies_on_the_inner_tools_name_and_arguments_hold(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        (tmp_path / "policies").mkdir()
        (tmp_path / "policies" / "own.cedar").write_text(INNER)  # it names a tool, which has to be known
        await world.house.desk.reload(OPERATOR)
        session = await world.session()
        denied = {"tool": "files__read", "arguments": {"path": "/etc/shadow"}}
        allowed = {"tool": "files__read", "arguments": {"path": "/data/a"}}
        assert code_of(await meta(world, session, "call_tool", denied)) == "denied"
        assert world.upstreams.ran == []
        assert (await meta(world, session, "call_tool", allowed)).result is not None
        assert [name for name, _, _ in world.upstreams.ran] == ["files/read"]


async def test_its_record_is_that_of_a_call_by_name(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        session = await world.session()
        by_name = {"name": "files__read", "arguments": {"path": "/data/a"}}
        await world.perform(session, Action.CALL_TOOL, by_name)
        await meta(world, session, "call_tool", {"tool": "files__read", "arguments": {"path": "/data/a"}})
        one, two = world.records("call.merged")
        differs = {name for name in one if one[name] != two[name]}
        assert differs <= {"call_id", "event_id", "permit_id", "time", "taint", "duration_us"}
        assert one["args_digest"] == two["args_digest"]


async def test_an_approval_that_was_asked_for_one_way_lets_the_call_pass_the_other_way(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        session, desk = await world.session(), world.house.parts.approvals
        arguments = {"tool": "files__wipe", "arguments": {"path": "/data/a"}}
        assert code_of(await meta(world, session, "call_tool", arguments)) == "approval_required"
        assert desk.watch.count() == 1
        by_name = {"name": "files__wipe", "arguments": {"path": "/data/a"}}
        assert code_of(await world.perform(session, Action.CALL_TOOL, by_name)) == "approval_required"
        assert desk.watch.count() == 1  # the same question


async def test_an_idempotency_key_counts_once_for_both_ways(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        session = await world.session(prompt="write hello to /data/a")
        arguments = {"path": "/data/a", "text": "hello"}
        key = {"_meta": {IDEMPOTENCY_META: "once"}}
        first = await meta(
            world, session, "call_tool", {"tool": "files__write", "arguments": arguments}, params=key
        )
        again = await world.perform(
            session, Action.CALL_TOOL, {"name": "files__write", "arguments": arguments, **key}
        )
        assert first.result == again.result
        assert len(world.upstreams.ran) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "bad_arguments"),
        ({"tool": "files__read", "arguments": "path"}, "bad_arguments"),
        ({"tool": "files__read", "arguments": {}, "more": 1}, "bad_arguments"),
        ({"tool": 5}, "bad_arguments"),
        ({"tool": "files__read"}, "bad_arguments"),
        ({"tool": "files__read", "arguments": {"path": 5}}, "bad_arguments"),
        ({"tool": "toolward__call_tool", "arguments": {"tool": "files__read"}}, "unknown_tool"),
        ({"tool": "toolward__search_tools", "arguments": {"query": "x"}}, "unknown_tool"),
        ({"tool": "read"}, "unknown_tool"),
        ({"tool": "files__read", "arguments": {"__entity": "x"}}, "reserved_key"),
    ],
)
async def test_what_names_no_call_is_refused(tmp_path: Path, arguments: dict[str, Any], code: str) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        reply = await meta(world, await world.session(), "call_tool", arguments)
        assert code_of(reply) == code
        assert world.upstreams.ran == []
        assert world.records("call.denied")


async def test_at_a_servers_own_endpoint_there_are_no_meta_tools(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        session = await world.session()
        assert await listed(world, session, server="mail") == ["fetch", "send"]
        reply = await meta(world, session, "search_tools", {"query": "x"}, server="files")
        assert code_of(reply) == "unknown_tool"


async def test_the_kill_switch_stops_what_is_searched_for_and_called_alike(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=ward()) as world:
        session = await world.session()
        await world.house.gateway.safeguards.stops.set("agent", AGENT.agent, why="a drill", by=OPERATOR)
        arguments = {"tool": "files__read", "arguments": {"path": "/data/a"}}
        assert code_of(await meta(world, session, "call_tool", arguments)) == "stopped"
        assert code_of(await meta(world, session, "search_tools", {"query": "x"})) == "stopped"
