"""A gateway that is stopped while calls run: they are settled and answered, and no other begins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import World, open_world

from toolward.model.call import Intent, RawOutcome, Returned
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange


class Slow:
    """A tool that answers when it is told to."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        self.began.set()
        await self.may_end.wait()
        return Returned(result={"content": []}, size_bytes=2)


async def begun(world: World, slow: Slow) -> asyncio.Task[Any]:
    """A call that waits for the tool."""
    world.upstreams.answers["files/read"] = slow
    call = asyncio.create_task(world.call(await world.session(), "files/read", {"path": "/data/a"}))
    await slow.began.wait()
    return call


def statuses(world: World) -> list[str]:
    found = [orjson.loads(each.body) for each in world.store.records()]
    return [each["status"] for each in found if each["kind"] in ("call.merged", "call.outcome")]


async def test_a_call_that_ends_within_the_grace_is_answered_as_ever(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        slow = Slow()
        call = await begun(world, slow)
        slow.may_end.set()
        await world.house.gateway.drain()
        assert (await call).result == {"content": []}
        assert statuses(world) == ["returned"]


async def test_a_call_that_does_not_is_settled_and_told_that_it_may_have_happened(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        call = await begun(world, Slow())
        world.house.gateway.interrupt()
        await world.house.gateway.drain()
        reply = await call
        assert reply.error.data["code"] == "unknown_outcome"
        assert "the gateway was stopped" in reply.error.message
        assert "look before you try again" in reply.error.data["remedy"]
        assert statuses(world) == ["stopped"]


async def test_a_call_that_comes_after_that_does_not_run(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.house.gateway.interrupt()
        reply = await world.call(await world.session(), "files/read", {"path": "/data/a"})
        assert "did not run" in reply.error.message
        assert world.upstreams.ran == []
        assert statuses(world) == ["failed"]


async def test_a_caller_that_hung_up_before_the_stop_is_still_told_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        call = await begun(world, Slow())
        call.cancel()
        world.house.gateway.interrupt()
        with pytest.raises(asyncio.CancelledError):
            await call
        await world.house.gateway.drain()
        assert statuses(world) == ["stopped"]


async def test_many_are_all_answered(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        calls = [await begun(world, Slow()) for _ in range(5)]
        world.house.gateway.interrupt()
        codes = [(await call).error.data["code"] for call in calls]
        assert codes == ["unknown_outcome"] * 5
