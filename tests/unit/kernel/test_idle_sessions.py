"""Sessions of callers that bring no session of their own."""

from __future__ import annotations

import asyncio

from mcp_door_world import ALICE, BOB, CountingIds, ManualClock
from toolward.adapters.stores.memory import MemoryStore
from toolward.config.limits import SESSION_IDLE_S
from toolward.kernel.audit import Auditor
from toolward.kernel.sessions import Sessions


def some_sessions(clock: ManualClock) -> Sessions:
    ids = CountingIds()
    store = MemoryStore(clock=clock, ids=ids)
    return Sessions(store, Auditor(store, clock=clock, ids=ids), clock=clock, ids=ids)


async def test_first_calls_that_come_together_share_one_session() -> None:
    sessions = some_sessions(ManualClock())
    found = await asyncio.gather(*(sessions.idle(ALICE, "host") for _ in range(5)))
    assert len({session.session_id for session in found}) == 1


async def test_another_credential_and_another_client_have_their_own() -> None:
    sessions = some_sessions(ManualClock())
    found = [await sessions.idle(*who) for who in ((ALICE, "a"), (ALICE, "b"), (BOB, "a"))]
    assert len({session.session_id for session in found}) == 3


async def test_it_lasts_as_long_as_it_is_used_and_ends_when_it_was_idle_too_long() -> None:
    clock = ManualClock()
    sessions = some_sessions(clock)
    first = (await sessions.idle(ALICE, "a")).session_id
    clock.forward(SESSION_IDLE_S - 1)
    assert (await sessions.idle(ALICE, "a")).session_id == first
    clock.forward(SESSION_IDLE_S + 1)
    assert (await sessions.idle(ALICE, "a")).session_id != first
