"""A call that failed in a cage: one line of the gateway's own, for the agent and on record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import World, open_world

from toolward.model.call import Failed, Intent, RawOutcome, Returned
from toolward.model.capability import IsolationLevel
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange

ERROR = {"content": [{"type": "text", "text": "ENOENT: no such file"}], "isError": True}
CAGED = {"files": IsolationLevel.NAMESPACES}


def answers(outcome: RawOutcome) -> Any:
    async def answer(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        return outcome

    return answer


async def called(world: World, outcome: RawOutcome, tiers: Mapping[str, IsolationLevel]) -> Any:
    """The reply to one call that ended so."""
    await world.approve_all()
    world.upstreams.tiers.update(tiers)
    world.upstreams.answers["files/read"] = answers(outcome)
    return await world.call(await world.session(), "files/read", {"path": "/data/a"})


def recorded(world: World) -> list[str]:
    """The hints on record, of all calls."""
    found = [orjson.loads(each.body) for each in world.store.records()]
    return [each.get("hint", "") for each in found if each["kind"] in ("call.merged", "call.outcome")]


async def test_the_agent_and_the_record_are_told_the_key_and_the_file(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        reply = await called(world, Returned(result=ERROR, size_bytes=10), CAGED)
        words, line = (each["text"] for each in reply.result["content"])
        assert words == "ENOENT: no such file"
        assert line.startswith("toolward: it runs in a cage")
        assert recorded(world) == ["capabilities.read or capabilities.write in tools/files.yaml"]


async def test_an_error_of_the_protocol_is_told_so_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        failed = Failed(code=-32000, message="connect ECONNREFUSED", reason="tool_failed")
        reply = await called(world, failed, CAGED)
        assert "`capabilities.network` in tools/files.yaml" in reply.error.message
        assert recorded(world) == ["capabilities.network in tools/files.yaml"]


@pytest.mark.parametrize("tier", [IsolationLevel.NONE, IsolationLevel.REMOTE])
async def test_where_there_is_no_cage_nothing_is_said_of_one(tmp_path: Path, tier: IsolationLevel) -> None:
    async with open_world(tmp_path) as world:
        reply = await called(world, Returned(result=ERROR, size_bytes=10), {"files": tier})
        assert (reply.result, recorded(world)) == (ERROR, [""])


async def test_a_call_that_did_not_fail_is_told_nothing_whatever_it_says(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        fine = {"content": ERROR["content"]}
        reply = await called(world, Returned(result=fine, size_bytes=10), CAGED)
        assert (reply.result, recorded(world)) == (fine, [""])


async def test_an_error_without_words_and_one_of_the_gateways_own_have_no_hint(tmp_path: Path) -> None:
    odd = {"content": "ENOENT", "isError": True}
    async with open_world(tmp_path / "a") as world:
        reply = await called(world, Returned(result=odd, size_bytes=10), CAGED)
        assert reply.result == odd
    async with open_world(tmp_path / "b") as world:
        ours = Failed(code=-1, message="ENOENT", reason="tool_unreachable", from_server=False)
        assert (await called(world, ours, CAGED)).error.message == "ENOENT"
