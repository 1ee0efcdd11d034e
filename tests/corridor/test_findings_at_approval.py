"""Findings reach whoever approves, block what must be looked at, and stand in the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.harness import OPERATOR, World, code_of, default_tools, open_world, tool

from toolward.errors import Denied
from toolward.governance.desk import invoke
from toolward.model.principal import Principal
from toolward.model.tool import ToolState

HIDDEN = "the tool read\u200b"


async def rows(world: World) -> dict[str, dict[str, Any]]:
    return {row["tool"]: row for row in await invoke(world.house.desk, "tools.list", {}, OPERATOR)}


async def approve(world: World, *tools: str, by: Principal = OPERATOR, accept: bool = False) -> Any:
    wanted = [{"tool": each} for each in tools]
    return await invoke(world.house.desk, "tools.approve", {"tools": wanted, "accept_findings": accept}, by)


def with_hidden() -> dict[str, list[dict[str, Any]]]:
    tools = default_tools()
    tools["files"][0] = tool("read", "path", description=HIDDEN)
    return tools


async def test_a_finding_that_blocks_stops_the_approval_until_a_person_accepts_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, tools=with_hidden(), approved=False) as world:
        await world.house.parts.drift.refresh("files")
        with pytest.raises(Denied, match="invisible_characters") as refused:
            await approve(world, "files/write", "files/read")
        assert refused.value.reason.code.value == "finding_not_accepted"
        assert "--accept-findings" in refused.value.reason.remedy
        states = {key: row["state"] for key, row in (await rows(world)).items()}
        assert set(states.values()) == {"proposed"}, "all of what was asked for, or nothing"
        await approve(world, "files/read", accept=True)
        (approved,) = world.records("tool.approved")
        assert approved["findings"] == ["block: invisible_characters at /description"]
        assert (await world.call(await world.session(), "files/read", {"path": "/data/a"})).error is None


async def test_without_a_finding_an_approval_needs_no_more_words(tmp_path: Path) -> None:
    """The control: the same tools without the hidden character."""
    async with open_world(tmp_path, approved=False) as world:
        await world.house.parts.drift.refresh("files")
        await approve(world, "files/write", "files/read")
        assert "findings" not in world.records("tool.approved")[0]


async def test_findings_are_recorded_with_the_version_that_was_seen(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.upstreams.tools = with_hidden()
        await world.house.parts.drift.refresh("files")
        assert world.records("tool.quarantined")[-1]["findings"] == [
            "block: invisible_characters at /description"
        ]
        diff = await invoke(world.house.desk, "tools.diff", {"tool": "files/read"}, OPERATOR)
        (found,) = diff["findings"]
        assert "\\u{200B}" in found["text"]
        row = (await rows(world))["files/read"]
        assert [each["id"] for each in row["findings"]] == ["invisible_characters"]


async def test_a_tool_that_takes_the_name_of_an_approved_one_blocks(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.clock.advance(60)
        world.upstreams.tools["mail"].append(tool("wipe", "path", "to"))
        await world.house.parts.drift.refresh("mail")
        found = (await rows(world))["mail/wipe"]["findings"]
        assert [(each["id"], each["severity"]) for each in found] == [("same_name", "block")]
        with pytest.raises(Denied, match="files/wipe"):
            await approve(world, "mail/wipe")


async def test_an_approval_in_one_go_does_not_make_one_tool_the_squatter_of_the_other(tmp_path: Path) -> None:
    tools = default_tools()
    tools["mail"].append(tool("wipe", "path", "to"))
    async with open_world(tmp_path, tools=tools, approved=False) as world:
        for server in ("files", "mail"):
            await world.house.parts.drift.refresh(server)
        await approve(world, "files/wipe", "mail/wipe")
        assert world.house.parts.registry.pin("mail/wipe").state is ToolState.APPROVED  # type: ignore[union-attr]


async def test_a_renamed_tool_is_recognised_and_does_not_inherit_the_approval(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.clock.advance(60)
        named = dict(default_tools()["files"][2], name="put", description="the tool write, better")
        world.upstreams.tools["files"][2] = named
        world.upstreams.hooks.events.definitions_changed("files")  # type: ignore[union-attr]
        session = await world.session()
        reply = await world.call(session, "files/put", {"path": "/data/a", "text": "x"})
        assert code_of(reply) == "not_approved"
        found = (await rows(world))["files/put"]["findings"]
        assert [each["id"] for each in found] == ["renamed"]
        assert world.records("tool.proposed")[-1]["renamed_from"] == "files/write"
        diff = await invoke(world.house.desk, "tools.diff", {"tool": "files/put"}, OPERATOR)
        assert diff["renamed_from"] == "files/write"
        assert any("better" in line for line in diff["lines"])


async def test_a_new_tool_beside_the_old_ones_is_no_rename(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.clock.advance(60)
        world.upstreams.tools["files"].append(tool("put", "path", "text"))
        await world.house.parts.drift.refresh("files")
        assert (await rows(world))["files/put"]["findings"] == []
        assert "renamed_from" not in world.records("tool.proposed")[-1]


async def test_a_name_that_was_accepted_once_is_not_asked_about_again_when_the_tool_changes(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        world.clock.advance(60)
        world.upstreams.tools["mail"].append(tool("wipe", "path", "to"))
        await world.house.parts.drift.refresh("mail")
        await approve(world, "mail/wipe", accept=True)
        world.clock.advance(60)
        world.upstreams.tools["mail"][-1] = tool("wipe", "path", "to", "why")
        await world.house.parts.drift.refresh("mail")
        await approve(world, "mail/wipe")
