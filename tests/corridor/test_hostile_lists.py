"""Lists as a hostile server writes them, at the endpoint that puts all servers together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.harness import code_of, open_world

from toolward.kernel import directory
from toolward.model.call import Action, Intent, RawOutcome, Returned
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange


def answers(result: dict[str, Any]) -> Any:
    async def script(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del permit, intent, exchange
        return Returned(result=result, size_bytes=1)

    return script


async def test_a_list_without_end_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "PAGES_MAX", 3)
    async with open_world(tmp_path) as world:
        endless = {"resources": [{"uri": "x:///1"}], "nextCursor": "more"}
        world.upstreams.answers["files/resources/list"] = answers(endless)
        session = await world.session()
        async with asyncio.timeout(20):
            await world.perform(session, Action.LIST_RESOURCES, {})
        assert [name for name, _, _ in world.upstreams.ran].count("files/resources/list") == 3


@pytest.mark.parametrize("bad", [5, {"a": 1}, "text", [5, None, "x"], None])
async def test_a_list_that_is_none_leaves_the_others_lists(tmp_path: Path, bad: object) -> None:
    async with open_world(tmp_path) as world:
        world.upstreams.answers["files/resources/list"] = answers({"resources": bad})
        world.upstreams.answers["mail/resources/list"] = answers({"resources": [{"uri": "mail:///a"}]})
        listed = await world.perform(await world.session(), Action.LIST_RESOURCES, {})
        assert listed.result == {"resources": [{"uri": "mail:///a"}]}


async def test_a_server_can_not_push_anothers_resource_out_and_take_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "URIS_MAX", 2)
    async with open_world(tmp_path) as world:
        world.upstreams.answers["files/resources/list"] = answers({"resources": [{"uri": "files:///mine"}]})
        many = [{"uri": f"mail:///{i}"} for i in range(5)] + [{"uri": "files:///mine"}]
        world.upstreams.answers["mail/resources/list"] = answers({"resources": many})
        session = await world.session()
        for _ in range(2):
            await world.perform(session, Action.LIST_RESOURCES, {})
        world.upstreams.ran.clear()
        await world.perform(session, Action.READ_RESOURCE, {"uri": "files:///mine"})
        assert [name for name, _, _ in world.upstreams.ran] == ["files/files:///mine"]


async def test_a_resource_of_no_server_is_a_refusal_with_a_record(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        reply = await world.perform(await world.session(), Action.READ_RESOURCE, {"uri": "nobody:///x"})
        assert code_of(reply) == "unknown_tool"
        assert world.records("call.denied")[-1]["target"] == "nobody:///x"
