"""Clients hear that the list of tools changed when the gateway's list may have, and not when a server says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness import OPERATOR, World, default_tools, open_world, tool

from toolward.governance.desk import invoke

LIST_CHANGED = "notifications/tools/list_changed"


async def listening(world: World) -> list[str]:
    heard: list[str] = []

    def hear(server: str, method: str, params: Mapping[str, Any]) -> None:
        assert not server  # it is the gateway's own list
        assert not params
        heard.append(method)

    world.house.gateway.notices.attach(await world.session(), hear)
    return heard


async def test_a_revoked_tool_is_announced_to_whoever_listens(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        heard = await listening(world)
        await invoke(world.house.desk, "tools.revoke", {"tool": "files/read"}, OPERATOR)
        assert heard == [LIST_CHANGED]


async def test_a_server_that_announces_no_change_is_not_repeated(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        heard = await listening(world)
        world.upstreams.hooks.events.definitions_changed("files")  # type: ignore[union-attr]
        await world.house.parts.drift.refresh("files")
        assert heard == []


async def test_a_new_tool_is_announced_once_its_pin_exists(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        heard = await listening(world)
        tools = default_tools()
        tools["files"].append(tool("brand_new", "path"))
        world.upstreams.tools = tools
        await world.house.parts.drift.refresh("files")
        assert heard == [LIST_CHANGED]
