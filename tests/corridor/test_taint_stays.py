"""What a session has read stays on it: over restarts, evictions and an end while a call runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.harness import World, code_of, open_world, text_result

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.kernel import sessions
from toolward.model.call import Intent, RawOutcome, Returned
from toolward.model.label import Confidentiality
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange

SECRET = "the code is zx-81-7734"
FILES = {
    "tools/mail.yaml": """\
server: mail
tools:
  send: {effect: irreversible, egress: true, arguments: {to: {role: authority, kind: address}, text: {role: content}}}
  fetch: {effect: read_only, egress: true, arguments: {url: {role: authority}}}
"""
}


async def leak(world: World, session: str) -> str:
    """A tool that carries data out, and names no destination of its own."""
    reply = await world.call(session, "mail/fetch", {"url": "zx-81-7734"})
    return "" if reply.error is None else code_of(reply)


async def test_a_confidential_value_stays_confidential_over_a_restart(tmp_path: Path) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    async with open_world(tmp_path, files=FILES, store=store) as world:
        session = await world.session()
        assert await leak(world, session) == ""  # control: before it was read
        world.upstreams.answers["files/read_secret"] = SECRET
        await world.call(session, "files/read_secret")
        assert await leak(world, session) == "denied"
    async with open_world(tmp_path, store=store) as world:
        assert await leak(world, session) == "denied"


async def test_a_confidential_value_stays_so_when_others_push_the_session_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 2)
    async with open_world(tmp_path, files=FILES) as world:
        session = await world.session()
        world.upstreams.answers["files/read_secret"] = SECRET
        await world.call(session, "files/read_secret")
        for _ in range(3):
            await world.session()
        assert await leak(world, session) == "denied"


async def test_a_session_that_ends_during_a_call_does_not_lose_what_another_call_read(tmp_path: Path) -> None:
    """The late call must not write back the session as it was when that call began."""
    async with open_world(tmp_path) as world:
        session = await world.session()
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            started.set()
            await go_on.wait()
            return Returned(result=text_result("late"), size_bytes=4)

        world.upstreams.answers["files/read"] = slow
        late = asyncio.create_task(world.call(session, "files/read", {"path": "/data/a"}))
        await started.wait()
        world.upstreams.answers["files/read_secret"] = SECRET
        await world.call(session, "files/read_secret")
        await world.house.gateway.close_session(session)
        go_on.set()
        assert (await late).error is None
        found = world.house.parts.sessions.current(session)
        assert found is not None
        assert found.taint.confidentiality is Confidentiality.CONFIDENTIAL
