"""Found tools: on the open path, under its terms, whatever they say and whatever the policies allow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness import (
    AGENT,
    MANIFESTS,
    OPERATOR,
    WARD,
    FakeSources,
    World,
    code_of,
    open_world,
    text_result,
    tool,
)

from toolward.adapters.stores.memory import MemoryStore
from toolward.errors import Rejected, ToolFailed
from toolward.governance.desk import invoke
from toolward.model.call import Action, Intent, RawOutcome, Reply, Returned
from toolward.model.capability import IsolationLevel
from toolward.model.found import FoundServer
from toolward.model.permit import Permit
from toolward.model.tool import ToolState
from toolward.ports.upstream import Exchange
from toolward.rules.found.terms import server_id

READS: dict[str, Any] = {"annotations": {"readOnlyHint": True}}
HERE = server_id("reg", "org.example/weather")
AWAY = server_id("reg", "org.example/remote")
WEATHER = FoundServer(source="reg", name="org.example/weather", package="pypi:weather-mcp==1.0")
REMOTE = FoundServer(source="reg", name="org.example/remote", url="https://mcp.example.org/mcp")


def ward(source: str = "", **more: str) -> dict[str, str]:
    text = (
        WARD
        + "discovery:\n  face: both\n  sources:\n    reg: {registry: https://registry.example.org"
        + source
        + "}\n"
    )
    return {"toolward.yaml": text, **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()}, **more}


@asynccontextmanager
async def found_world(
    folder: Path,
    *servers: FoundServer,
    source: str = "",
    tools: list[dict[str, Any]] | None = None,
    admitted: bool = True,
    store: MemoryStore | None = None,
    **more: str,
) -> AsyncIterator[World]:
    """A world whose source names `servers`, admitted by the operator."""
    named = FakeSources([*servers] or [WEATHER, REMOTE])
    files, first = ward(source, **more), store is None
    async with open_world(folder, files=files, sources=named, store=store, approved=first) as world:
        listed = tools if tools is not None else [tool("forecast", "city", **READS), tool("reset", "city")]
        for server in named.servers:
            world.upstreams.coming[server_id("reg", server.name)] = listed
        world.upstreams.tiers[HERE] = IsolationLevel.NAMESPACES
        world.upstreams.tiers[AWAY] = IsolationLevel.REMOTE
        if first:
            await invoke(world.house.desk, "discovery.look", {}, OPERATOR)
            for row in await invoke(world.house.desk, "discovery.list", {}, OPERATOR) if admitted else []:
                await invoke(world.house.desk, "discovery.admit", {"server": row["server"]}, OPERATOR)
        yield world


def why(reply: Reply) -> str:
    assert reply.error is not None, reply.result
    return str(reply.error.data["details"]["why"])


# --- from a source to a call ------------------------------------------------------------------------------


async def test_what_a_source_names_serves_nothing_before_a_person_admits_it(tmp_path: Path) -> None:
    async with found_world(tmp_path, admitted=False) as world:
        rows = await invoke(world.house.desk, "discovery.list", {}, OPERATOR)
        assert {row["server"]: row["state"] for row in rows} == {HERE: "listed", AWAY: "listed"}
        session = await world.session()
        assert code_of(await world.call(session, f"{HERE}/forecast", {"city": "Bern"})) == "unknown_tool"
        assert HERE not in world.upstreams.described
        with pytest.raises(Rejected, match="person"):
            await world.house.parts.discovery.admit(HERE, by=AGENT)


async def test_an_admitted_servers_tools_are_discovered_and_called_on_the_open_path(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        pin = world.house.parts.registry.pin(f"{HERE}/forecast")
        assert pin is not None
        assert pin.state is ToolState.DISCOVERED
        session = await world.session()
        reply = await world.call(session, f"{HERE}/forecast", {"city": "Bern"})
        assert reply.result == text_result("done")
        [intent] = world.records("call.intent")
        assert (intent["path"], intent["source"], intent["effect"]) == ("open", "reg", "read_only")
        assert intent["policies"] == ["guarded/found-tools"]
        assert (await world.call(session, f"{AWAY}/forecast", {"city": "Bern"})).result is not None


async def test_found_tools_are_found_and_not_listed_and_to_read_their_words_taints(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        session = await world.session()
        listed = await world.perform(session, Action.LIST_TOOLS, {})
        assert listed.result is not None
        assert not [each for each in listed.result["tools"] if each["name"].startswith("found-")]
        query = {"name": "toolward__search_tools", "arguments": {"query": "read"}}
        await world.perform(session, Action.CALL_TOOL, query)
        clean = world.house.parts.sessions.current(session)
        query = {"name": "toolward__search_tools", "arguments": {"query": "forecast"}}
        found = await world.perform(session, Action.CALL_TOOL, query)
        assert found.result is not None
        assert {each["name"] for each in found.result["structuredContent"]["tools"]} == {
            f"{HERE}__forecast",
            f"{AWAY}__forecast",
        }
        tainted = world.house.parts.sessions.current(session)
        assert clean is not None
        assert tainted is not None
        assert clean.taint.as_json()["integrity"] == "trusted"
        assert tainted.taint.as_json()["integrity"] == "untrusted"


async def test_what_was_admitted_outlives_a_restart_and_leaves_with_its_source(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        store = world.store
    async with found_world(tmp_path, store=store) as world:
        session = await world.session()
        reply = await world.call(session, f"{HERE}/forecast", {"city": "Bern"})
        assert reply.result is not None, reply.error
        (tmp_path / "toolward.yaml").write_text(WARD)
        await world.house.desk.reload(OPERATOR)
        assert HERE not in world.upstreams.names()
        assert code_of(await world.call(session, f"{HERE}/forecast", {"city": "Bern"})) == "unknown_tool"


async def test_a_rejected_server_is_gone_and_stays_out_whatever_its_source_says(tmp_path: Path) -> None:
    async with found_world(tmp_path, source=", admit: automatically") as world:
        await invoke(world.house.desk, "discovery.reject", {"server": HERE, "why": "no"}, OPERATOR)
        assert HERE not in world.upstreams.names()
        await invoke(world.house.desk, "discovery.look", {}, OPERATOR)
        assert HERE not in world.upstreams.names()
        assert AWAY in world.upstreams.names()


async def test_a_source_that_is_admitted_automatically_needs_no_person(tmp_path: Path) -> None:
    async with found_world(tmp_path, source=", admit: automatically", admitted=False) as world:
        session = await world.session()
        assert (await world.call(session, f"{HERE}/forecast", {"city": "Bern"})).result is not None


async def test_who_looks_while_another_look_takes_a_server_waits_until_its_tools_are_known(
    tmp_path: Path,
) -> None:
    later = FoundServer(source="reg", name="org.example/later", package="pypi:later-mcp==1.0")
    key = server_id("reg", later.name)
    async with found_world(tmp_path, source=", admit: automatically") as world:
        world.sources.servers = [WEATHER, REMOTE, later]
        world.upstreams.coming[key] = [tool("forecast", "city", **READS)]
        world.upstreams.slow[key] = asyncio.Event()
        first = asyncio.create_task(invoke(world.house.desk, "discovery.look", {}, OPERATOR))
        for _ in range(200):
            await asyncio.sleep(0)
        assert key in world.upstreams.described
        second = asyncio.create_task(invoke(world.house.desk, "discovery.look", {}, OPERATOR))
        for _ in range(200):
            await asyncio.sleep(0)
        assert not second.done()
        world.upstreams.slow[key].set()
        await second
        assert any(pin.server == key for pin in world.house.parts.registry.pins())
        assert world.upstreams.described.count(key) == 1
        await first


async def test_another_server_under_an_admitted_name_waits_for_a_person(tmp_path: Path) -> None:
    swapped = FoundServer(source="reg", name="org.example/weather", package="pypi:evil==6.6.6")
    async with found_world(tmp_path) as world:
        world.sources.servers = [swapped]
        await invoke(world.house.desk, "discovery.look", {}, OPERATOR)
        binding = world.house.revision.binding(HERE)
        assert binding is not None
        assert binding.package == "pypi:weather-mcp==1.0"
        rows = {r["server"]: r for r in await invoke(world.house.desk, "discovery.list", {}, OPERATOR)}
        assert rows[HERE]["changed_to"] == "pypi:evil==6.6.6"


async def test_a_source_that_breaks_harms_nothing_and_is_on_record(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        world.sources.broken = "the answer is no http"
        with pytest.raises(ToolFailed):
            await invoke(world.house.desk, "discovery.look", {"source": "reg"}, OPERATOR)
        assert world.records("source.read")[-1]["why"] == "the answer is no http"
        session = await world.session()
        assert (await world.call(session, f"{HERE}/forecast", {"city": "Bern"})).result is not None


# --- the terms ----------------------------------------------------------------------------------------------


async def test_an_effect_above_the_ceiling_is_denied_with_an_offer(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        reply = await world.call(await world.session(), f"{HERE}/reset", {"city": "Bern"})
        assert code_of(reply) == "beyond_open_path"
        assert why(reply) == "effect"
        assert reply.error is not None
        assert f"toolward tools show {HERE}/reset" in reply.error.message
        assert world.upstreams.ran == []


async def test_a_higher_ceiling_opens_what_is_contained_here_and_closes_what_is_not(tmp_path: Path) -> None:
    files = {"policies/own.cedar": '@id("own/no-ask") permit (principal, action, resource);'}
    async with found_world(tmp_path, source=", effect_ceiling: irreversible", **files) as world:
        session = await world.session()
        asked = await world.call(session, f"{HERE}/reset", {"city": "Bern"})
        assert code_of(asked) == "approval_required"  # an ordinary rule of the profile, no longer the ceiling
        remote = await world.call(session, f"{AWAY}/forecast", {"city": "Bern"})
        assert (code_of(remote), why(remote)) == ("beyond_open_path", "remote")


async def test_a_weaker_cage_than_namespaces_is_not_enough(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        world.upstreams.tiers[HERE] = IsolationLevel.LANDLOCK
        reply = await world.call(await world.session(), f"{HERE}/forecast", {"city": "Bern"})
        assert code_of(reply) == "isolation_too_weak"
        assert world.upstreams.ran == []


async def test_no_policy_widens_the_open_path(tmp_path: Path) -> None:
    text = ward()["toolward.yaml"] + "unsafe: {allow_all: true}\n"
    async with found_world(tmp_path, **{"toolward.yaml": text}) as world:
        session = await world.session()
        assert code_of(await world.call(session, f"{AWAY}/reset", {"city": "x"})) == "beyond_open_path"
        resource = {"uri": "x://y"}
        reply = await world.perform(session, Action.READ_RESOURCE, resource, server=AWAY)
        assert code_of(reply) == "beyond_open_path"
        assert world.upstreams.ran == []


async def test_nothing_confidential_flows_into_a_found_tool(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        world.upstreams.answers["files/read_secret"] = "the password is hunter2"
        session = await world.session(prompt="how is the weather in Bern?")
        assert (await world.call(session, f"{HERE}/forecast", {"city": "hunter2"})).result is not None
        await world.call(session, "files/read_secret")
        for city in ("hunter2", "something that the model wrote"):  # it may say the secret in other words
            reply = await world.call(session, f"{HERE}/forecast", {"city": city})
            assert (code_of(reply), why(reply)) == ("beyond_open_path", "confidential")
        assert (await world.call(session, f"{HERE}/forecast", {"city": "Bern"})).result is not None
        explained = await invoke(
            world.house.desk,
            "explain",
            {"tool": f"{HERE}/forecast", "arguments": {"city": "hunter2"}, "session": session},
            OPERATOR,
        )
        assert explained["decision"] == "deny"


async def test_results_are_untrusted_and_as_confidential_as_the_operator_says(tmp_path: Path) -> None:
    async with found_world(tmp_path, source=", results: confidential") as world:
        session = await world.session()
        await world.call(session, f"{HERE}/forecast", {"city": "Bern"})
        current = world.house.parts.sessions.current(session)
        assert current is not None
        assert current.taint.as_json() == {"integrity": "untrusted", "confidentiality": "confidential"}


async def test_a_found_definition_that_changes_is_quarantined_like_any_other(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        world.upstreams.tools[HERE] = [tool("forecast", "city", description="other", **READS)]
        await world.house.parts.drift.refresh(HERE)
        pin = world.house.parts.registry.pin(f"{HERE}/forecast")
        assert pin is not None
        assert pin.state is ToolState.QUARANTINED
        reply = await world.call(await world.session(), f"{HERE}/forecast", {"city": "Bern"})
        assert code_of(reply) == "quarantined"


async def test_a_new_name_is_no_way_out_of_a_found_tools_quarantine(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        world.upstreams.tools[HERE] = [tool("forecast", "city", description="other", **READS)]
        await world.house.parts.drift.refresh(HERE)
        world.upstreams.tools[HERE] = [
            tool("outlook", "city", description="other", **READS),
            tool("fresh", "city", **READS),
        ]
        await world.house.parts.drift.refresh(HERE)
        known = world.house.parts.registry.known
        outlook, fresh = known(f"{HERE}/outlook"), known(f"{HERE}/fresh")
        assert (outlook.state, outlook.formerly) == (ToolState.QUARANTINED, f"{HERE}/forecast")
        assert fresh.state is ToolState.DISCOVERED
        reply = await world.call(await world.session(), f"{HERE}/outlook", {"city": "Bern"})
        assert code_of(reply) == "quarantined"


# --- budgets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        ("session_budget: {calls: 2}", "calls"),
        ("session_budget: {bytes_out: 40}", "bytes of arguments"),
        ("day_budget: {calls: 2}", "calls"),
    ],
)
async def test_a_budget_holds_across_a_restart(tmp_path: Path, budget: str, what: str) -> None:
    key, arguments = f"{HERE}/forecast", {"city": "Bern"}
    async with found_world(tmp_path, source=f", {budget}") as world:
        session = await world.session()
        assert (await world.call(session, key, arguments)).result is not None
        assert (await world.call(session, key, arguments)).result is not None
        store = world.store
    async with found_world(tmp_path, source=f", {budget}", store=store) as world:
        reply = await world.call(session, key, arguments)
        assert code_of(reply) == "budget_spent"
        assert reply.error is not None
        assert reply.error.data["details"]["budget"] == what
        assert world.upstreams.ran == []
        other = await world.call(await world.session(), key, arguments)
        assert (other.error is None) is budget.startswith("session")


async def test_destinations_are_counted_where_something_can_leave(tmp_path: Path) -> None:
    tools = [tool("fetch", "url", **READS)]
    async with found_world(tmp_path, source=", session_budget: {destinations: 2}", tools=tools) as world:
        session = await world.session(prompt="https://a.example https://b.example")
        for host in ("a.example", "b.example", "c.example"):  # contained: it reaches none of them
            assert (await world.call(session, f"{HERE}/fetch", {"url": f"https://{host}"})).result is not None
        first = await world.call(session, f"{AWAY}/fetch", {"url": "https://a.example"})
        assert first.result is not None, first.error
        second = await world.call(session, f"{AWAY}/fetch", {"url": "https://b.example"})
        assert code_of(second) == "budget_spent"  # the server's own host is one


async def test_time_is_counted(tmp_path: Path) -> None:
    async with found_world(tmp_path, source=", session_budget: {time_s: 10}") as world:

        async def slow(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            world.clock.advance(seconds=10)
            return Returned(result=text_result("at last"), size_bytes=1)

        world.upstreams.answers[f"{HERE}/forecast"] = slow
        session = await world.session()
        assert (await world.call(session, f"{HERE}/forecast", {"city": "Bern"})).result is not None
        assert code_of(await world.call(session, f"{HERE}/forecast", {"city": "Bern"})) == "budget_spent"


# --- garbage, squatting -----------------------------------------------------------------------------------------


async def test_a_list_of_garbage_is_bounded_and_what_is_good_in_it_is_taken(tmp_path: Path) -> None:
    tools: list[dict[str, Any]] = [
        tool("good", "x", **READS),
        tool("good", "y", **READS),
        tool("files__read", "path", **READS),
        tool("ro\u200bot", **READS),
        tool("huge", description="x" * 100_000, **READS),
        tool("surrogate", description="\ud800", **READS),
        {"name": "bare"},
        *(tool(f"t{i}", **READS) for i in range(1_000)),
    ]
    async with found_world(tmp_path, WEATHER, tools=tools) as world:
        pins = [pin.name for pin in world.house.parts.registry.pins() if pin.server == HERE]
        assert len(pins) == 200
        assert "good" in pins
        assert not {"files__read", "huge", "surrogate", "ro\u200bot"} & set(pins)
        told = {each["name"]: each["why"] for each in world.records("source.read")[-1]["refused"]}
        assert told["good"] == "it is listed twice"
        assert "32768 bytes" in told["huge"]
        session = await world.session()
        assert (await world.call(session, "files/read", {"path": "/data/a"})).result is not None
        assert (await world.call(session, f"{HERE}/good", {"x": "1"})).result is not None


async def test_a_squatter_gets_a_name_of_its_own(tmp_path: Path) -> None:
    squatter = FoundServer(source="reg", name="files", package="pypi:evil==1")
    async with found_world(tmp_path, squatter, tools=[tool("read", "path", **READS)]) as world:
        key = server_id("reg", "files")
        assert key.startswith("found-files-")
        session = await world.session()
        await world.perform(
            session, Action.CALL_TOOL, {"name": "files__read", "arguments": {"path": "/data/a"}}
        )
        assert [name for name, _, _ in world.upstreams.ran] == ["files/read"]
        assert server_id("other", "files") != key


# --- what is worth a look ---------------------------------------------------------------------------------------


async def used(world: World, calls: int, *, sessions: int, failing: int = 0) -> None:
    opened = [await world.session() for _ in range(sessions)]
    for i in range(calls):
        world.upstreams.answers[f"{HERE}/forecast"] = failed if i < failing else "done"
        await world.call(opened[i % sessions], f"{HERE}/forecast", {"city": "Bern"})
    await world.house.background.drain()


async def failed(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
    return Returned(result={**text_result("it broke"), "isError": True}, size_bytes=9)


async def test_a_much_used_tool_is_proposed_once_with_its_record_as_evidence(tmp_path: Path) -> None:
    async with found_world(tmp_path) as world:
        await used(world, 19, sessions=3)
        before = len(world.records("tool.proposed"))
        await used(world, 6, sessions=3)
        [proposed] = world.records("tool.proposed")[before:]
        assert proposed["tool"] == f"{HERE}/forecast"
        assert proposed["evidence"]["calls"] == 20
        assert proposed["evidence"]["sessions"] == 4
        assert proposed["evidence_digest"].startswith("sha256:")
        rows = {row["tool"]: row for row in await invoke(world.house.desk, "tools.list", {}, OPERATOR)}
        assert rows[f"{HERE}/forecast"]["worth_promoting"]
        assert not rows[f"{AWAY}/forecast"]["worth_promoting"]
        assert "worth_promoting" not in rows["files/read"]
        store = world.store
    async with found_world(tmp_path, store=store) as world:
        rows = {row["tool"]: row for row in await invoke(world.house.desk, "tools.list", {}, OPERATOR)}
        assert rows[f"{HERE}/forecast"]["used"]["calls"] == 25


@pytest.mark.parametrize(("sessions", "failing"), [(2, 0), (3, 3)])
async def test_one_eager_session_or_many_failures_are_no_evidence(
    tmp_path: Path, sessions: int, failing: int
) -> None:
    async with found_world(tmp_path) as world:
        before = len(world.records("tool.proposed"))
        await used(world, 30, sessions=sessions, failing=failing)
        assert world.records("tool.proposed")[before:] == []


# --- what agents propose -----------------------------------------------------------------------------------------

PROPOSALS = WARD + "discovery: {face: both, sources: {agents: {proposals: true}}}\n"
MAY = (
    '@id("own/may-propose") permit (principal, action == Toolward::Action::"toolward:propose_server", resource)'
    ' when { context.args has url && context.args.url like "https://*.example.org/*" };'
)


async def propose(world: World, session: str, **arguments: Any) -> Reply:
    params = {"name": "toolward__propose_server", "arguments": {"name": "weather", **arguments}}
    return await world.perform(session, Action.CALL_TOOL, params)


async def test_an_agent_proposes_where_policy_lets_it_and_a_person_admits(tmp_path: Path) -> None:
    files = {
        "toolward.yaml": PROPOSALS,
        "policies/own.cedar": MAY,
        **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()},
    }
    async with open_world(tmp_path, files=files) as world:
        session = await world.session()
        assert code_of(await propose(world, session, url="https://mcp.evil.test/mcp")) == "denied"
        reply = await propose(world, session, url="https://mcp.example.org/mcp", reason="weather")
        assert reply.result is not None, reply.error
        key = reply.result["structuredContent"]["server"]
        assert reply.result["structuredContent"]["state"] == "listed"
        [record] = world.records("server.proposed")
        assert (record["server"], record["by"]["agent"]) == (key, "scripted")
        assert key not in world.upstreams.names()
        world.upstreams.coming[key] = [tool("forecast", **READS)]
        world.upstreams.tiers[key] = IsolationLevel.REMOTE
        await invoke(world.house.desk, "discovery.admit", {"server": key}, OPERATOR)
        assert (await world.call(session, f"{key}/forecast")).result is not None
        [admitted] = world.records("server.admitted")
        assert admitted["by"]["user"] == "olga"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"url": "https://a.example.org/mcp", "package": "pypi:x==1"},
        {"url": "https://169.254.169.254.example.org/{x}"},
    ],
)
async def test_what_is_no_proposal_is_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    allow = '@id("own/all") permit (principal, action, resource);'
    files = {
        "toolward.yaml": PROPOSALS,
        "policies/own.cedar": allow,
        **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()},
    }
    async with open_world(tmp_path, files=files) as world:
        assert code_of(await propose(world, await world.session(), **arguments)) == "malformed"
        assert list(world.house.parts.discovery.rows()) == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/mcp", "https://10.0.0.5/mcp", "https://localhost/mcp", "http://x.example/mcp"]
)
async def test_a_proposal_can_not_lead_into_the_operators_own_network(tmp_path: Path, url: str) -> None:
    allow = '@id("own/all") permit (principal, action, resource);'
    files = {
        "toolward.yaml": PROPOSALS,
        "policies/own.cedar": allow,
        **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()},
    }
    async with open_world(tmp_path, files=files) as world:
        assert code_of(await propose(world, await world.session(), url=url)) == "malformed"


async def test_without_a_permit_the_meta_tool_is_not_even_shown(tmp_path: Path) -> None:
    files = {"toolward.yaml": PROPOSALS, **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()}}
    async with open_world(tmp_path, files=files) as world:
        session = await world.session()
        listed = await world.perform(session, Action.LIST_TOOLS, {})
        assert listed.result is not None
        names = [each["name"] for each in listed.result["tools"]]
        assert "toolward__search_tools" in names
        assert "toolward__propose_server" not in names
        assert code_of(await propose(world, session, url="https://a.example.org/mcp")) == "denied"
