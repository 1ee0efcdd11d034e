"""The aggregated endpoint: names carry their server, and each part is a call of its own through the corridor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.harness import World, code_of, open_world

from toolward.model.call import Action, Returned
from toolward.model.permit import Permit
from toolward.ports.upstream import ServerDescription

CAPABILITIES = {
    "files": {"prompts": {}, "completions": {}, "resources": {}},
    "mail": {"prompts": {}, "logging": {}},
}


@asynccontextmanager
async def aggregated(
    folder: Path,
) -> AsyncIterator[tuple[World, str, list[tuple[str, str, Mapping[str, Any]]]]]:
    """Two servers with prompts; what reached them is (server, action, arguments)."""
    reached: list[tuple[str, str, Mapping[str, Any]]] = []

    async def answer(permit: Permit, *_: object) -> Returned:
        call, server = permit.labelled.call, permit.labelled.resolved.server
        reached.append((server, call.action.value, call.arguments))
        results: dict[Action, dict[str, Any]] = {
            Action.LIST_PROMPTS: {"prompts": [{"name": "greet", "title": server}]},
            Action.LIST_RESOURCES: {"resources": []},
            Action.LIST_TEMPLATES: {"resourceTemplates": [{"uriTemplate": "files:///{path}", "name": "f"}]},
            Action.GET_PROMPT: {"messages": []},
            Action.COMPLETE: {"completion": {"values": ["x"]}},
        }
        return Returned(result=results.get(call.action, {}), size_bytes=1)

    class Everything(dict[str, Any]):
        def get(self, key: str, default: object = None) -> Any:
            return answer

    async with open_world(folder) as world:
        describe = world.upstreams.describe

        async def with_capabilities(server: str) -> ServerDescription:
            return replace(await describe(server), capabilities={"tools": {}, **CAPABILITIES[server]})

        world.upstreams.describe = with_capabilities  # type: ignore[method-assign]
        world.upstreams.answers = Everything()
        for server in CAPABILITIES:
            await world.house.parts.drift.refresh(server)
        yield world, await world.session(), reached


async def test_prompts_are_listed_under_their_servers_names_and_fetched_by_them(tmp_path: Path) -> None:
    async with aggregated(tmp_path) as (world, session, reached):
        listed = await world.perform(session, Action.LIST_PROMPTS, {})
        assert listed.result is not None
        assert [each["name"] for each in listed.result["prompts"]] == ["files__greet", "mail__greet"]
        reached.clear()
        got = await world.perform(
            session, Action.GET_PROMPT, {"name": "mail__greet", "arguments": {"a": "1"}}
        )
        assert got.error is None
        ((server, _, arguments),) = reached
        assert (server, arguments["name"]) == ("mail", "greet")


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ({"type": "ref/prompt", "name": "files__greet"}, "greet"),
        ({"type": "ref/resource", "uri": "files:///{path}"}, None),
        ({"type": "ref/resource", "uri": "files:///a/b"}, None),
    ],
)
async def test_a_completion_goes_to_the_server_of_what_is_completed(
    tmp_path: Path, reference: dict[str, str], name: str | None
) -> None:
    async with aggregated(tmp_path) as (world, session, reached):
        done = await world.perform(
            session, Action.COMPLETE, {"ref": reference, "argument": {"name": "path", "value": ""}}
        )
        assert done.result == {"completion": {"values": ["x"]}}
        server, action, arguments = reached[-1]
        assert (server, action) == ("files", "completion/complete")
        assert arguments["ref"].get("name") == name


@pytest.mark.parametrize(
    ("action", "params"),
    [
        (Action.GET_PROMPT, {"name": "greet"}),
        (Action.GET_PROMPT, {"name": "nobody__greet"}),
        (Action.COMPLETE, {"ref": "files__greet"}),
        (Action.COMPLETE, {"ref": {"type": "ref/prompt", "name": "nobody__greet"}}),
        (Action.COMPLETE, {"ref": {"type": "ref/resource", "uri": "nobody:///a"}}),
        (Action.SUBSCRIBE, {"uri": "nobody:///a"}),
    ],
)
async def test_what_belongs_to_no_server_is_refused_on_record(
    tmp_path: Path, action: Action, params: dict[str, Any]
) -> None:
    async with aggregated(tmp_path) as (world, session, reached):
        refused = await world.perform(session, action, params)
        assert code_of(refused) == "unknown_tool"
        assert [each for each in reached if each[1] == action.value] == []
        (record,) = world.records("call.denied")
        assert record["action"] == action.value


async def test_the_log_level_is_told_to_those_that_log(tmp_path: Path) -> None:
    async with aggregated(tmp_path) as (world, session, reached):
        done = await world.perform(session, Action.SET_LOG_LEVEL, {"level": "debug"})
        assert (done.result, done.error) == ({}, None)
        assert [(server, action) for server, action, _ in reached] == [("mail", "logging/setLevel")]
