"""Copies of live reads are run with another version, and nobody but the record sees what they answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.harness import World
from tests.versions_world import READ, desk, next_tools, offer, read, versions_world

from toolward.errors import Denied, Rejected
from toolward.kernel.promotion import shadows
from toolward.model.call import Returned

GATE = {"gates.yaml": "version: 1\nchannels:\n  production: {shadow: {calls: 5}}\n"}


async def begin(world: World, **more: Any) -> Any:
    return await desk(world, "tools.canary", tool=READ, digest=offer(world), copies=100, **more)


async def settled(world: World) -> list[dict[str, Any]]:
    """What came of the copies, once all have ended."""
    await world.house.background.drain()
    return world.records("tool.shadowed")


def remembers(world: World, session: str, text: str) -> bool:
    """Whether a value is known to the session, in its index or on the way there."""
    memory = world.house.parts.sessions.memory(session)
    return bool(memory.pages(text)) or any(text.encode() in each.body for each in memory.waiting)


async def promote(world: World) -> Any:
    return await desk(world, "tools.promote", tool=READ, to="production", digest=offer(world))


async def test_a_version_that_answers_the_same_gets_in_after_enough_copies(tmp_path: Path) -> None:
    async with versions_world(tmp_path, files=GATE) as world:
        world.upstreams.answers["files@next/read"] = "first"
        with pytest.raises(Denied, match="0 of 0 copies were answered differently, 5 are asked for"):
            await promote(world)
        await begin(world)
        for _ in range(5):
            assert await read(world, await world.session()) == "first"
            await settled(world)
        said = await settled(world)
        assert [(each["compared"], each["same"]) for each in said] == [(True, True)] * 5
        assert (await promote(world))["state"] == "promoted"


async def test_callers_see_what_is_served_and_the_difference_holds_the_version_back(tmp_path: Path) -> None:
    async with versions_world(tmp_path, files=GATE) as world:
        shown = await begin(world)
        assert (shown["copies"], shown["share"]) == (100, 0)
        for _ in range(20):
            assert await read(world, await world.session()) == "first"
        said = await settled(world)
        assert {each["same"] for each in said if each["compared"]} == {False}
        with pytest.raises(Denied, match="copies were answered differently"):
            await promote(world)


async def test_a_copy_is_a_recorded_call_of_its_own_that_counts_and_taints_nothing(tmp_path: Path) -> None:
    async with versions_world(tmp_path) as world:
        await begin(world)
        session = await world.session()
        await read(world, session)
        before = world.house.parts.sessions.current(session)
        (said,) = await settled(world)
        copies = [each for each in world.records("call.merged") if each.get("copy_of")]
        assert [(each["call_id"], each["copy_of"]) for each in copies] == [(said["call_id"], said["copy_of"])]
        assert copies[0]["version"] == said["candidate"] != said["control"]
        after = world.house.parts.sessions.current(session)
        assert before is not None
        assert after is not None
        assert (after.calls, after.taint, after.untrusted) == (before.calls, before.taint, before.untrusted)
        assert not remembers(world, session, "next")


async def test_a_copy_that_ends_leaves_the_calls_in_flight_as_they_are(tmp_path: Path) -> None:
    """Else a rule that bounds calls in flight would be passed by as many as there were copies."""
    async with versions_world(tmp_path) as world:
        await begin(world)
        session = await world.session()
        histories = world.house.parts.sessions.histories
        free, seen = asyncio.Event(), asyncio.Event()

        async def slow(*_: Any) -> Returned:
            seen.set()
            await free.wait()
            return Returned({"content": [{"type": "text", "text": "first"}]})

        assert await read(world, session) == "first"  # its copy ends while the next call is in flight
        world.upstreams.answers[READ] = slow
        waiting = asyncio.create_task(read(world, session))
        await seen.wait()
        await settled(world)
        assert histories.of(session).in_flight == 1
        free.set()
        await waiting
        await settled(world)
        assert histories.of(session).in_flight == 0
        live = dict(histories.of(session).tools)
        histories.forget(session)
        assert histories.of(session).tools == live == {READ: 2}, "and the log tells the same"


async def test_the_memory_holds_what_the_caller_itself_was_answered(tmp_path: Path) -> None:
    """The control of the test before: without being a copy, the same answer is remembered."""
    async with versions_world(tmp_path) as world:
        session = await world.session()
        world.upstreams.answers[READ] = "next"
        await read(world, session)
        assert remembers(world, session, "next")


async def test_only_reads_are_copied(tmp_path: Path) -> None:
    tools = next_tools()
    tools["files@next"] = [
        {**each, "description": "the next one"} if each["name"] == "write" else each
        for each in tools["files"]
    ]
    async with versions_world(tmp_path, tools=tools) as world:
        other = offer(world, "files/write")
        with pytest.raises(Rejected, match="does more than read"):
            await desk(world, "tools.canary", tool="files/write", digest=other, copies=10)


async def test_a_slow_candidate_is_given_no_more_copies_than_may_run_at_once(tmp_path: Path) -> None:
    async with versions_world(tmp_path) as world:
        await begin(world)
        free = asyncio.Event()

        async def slow(*_: Any) -> Returned:
            await free.wait()
            return Returned({"content": [{"type": "text", "text": "first"}]})

        world.upstreams.answers["files@next/read"] = slow
        session = await world.session()
        for _ in range(shadows.COPIES_MAX + 3):
            assert await read(world, session) == "first"
        free.set()
        assert len(await settled(world)) == shadows.COPIES_MAX


async def test_no_copy_is_run_once_the_canary_ended(tmp_path: Path) -> None:
    async with versions_world(tmp_path) as world:
        await begin(world)
        await desk(world, "tools.abort", tool=READ)
        await read(world, await world.session())
        assert await settled(world) == []


async def test_copies_are_no_canary(tmp_path: Path) -> None:
    """What nobody was served has not shown that it can be."""
    files = {"gates.yaml": "version: 1\nchannels:\n  production: {canary: {calls: 2, minutes: 0}}\n"}
    async with versions_world(tmp_path, files=files) as world:
        world.upstreams.answers["files@next/read"] = "first"
        await begin(world)
        for _ in range(4):
            await read(world, await world.session())
            await settled(world)
        with pytest.raises(Denied, match="no session is served it"):
            await promote(world)


async def test_of_a_copy_nobody_is_asked(tmp_path: Path) -> None:
    asks = (
        '@id("ward.asks")\n@ask("user")\nforbid (principal, action in Toolward::Action::"call", resource)\n'
    )
    files = {"policies/ask.cedar": asks + "when { context.session.calls > 0 };\n"}
    async with versions_world(tmp_path, files=files) as world:
        await begin(world)
        session = await world.session()
        assert await read(world, session) == "first"
        (said,) = await settled(world)
        assert (said["compared"], said["why"]) == (False, "approval_required")
        assert world.records("approval.asked") == []
        assert (
            await read(world, session) != "first"
        )  # the control: the caller's own second call is asked about
        assert len(world.records("approval.asked")) == 1
