"""Every point at which a call can be cut off, one after the other, and what holds after the restart.

A call makes a known number of commits. For each of them the store is made to fail there, as a broken disk
does: the process is then restarted on what was durable. Nothing may have run without a durable intent, no
result may have left without a durable outcome, and every intent is settled once.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.harness import World, code_of, open_world, text_result

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.model.call import Reply

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
READ = ("files/read", {"path": "/data/a"})


def settled(store: MemoryStore) -> tuple[set[str], dict[str, int]]:
    """Call ids with an intent, and how often each has an outcome."""
    intents: set[str] = set()
    outcomes: dict[str, int] = {}
    for record in store.records():
        body = orjson.loads(record.body)
        if body["kind"] == "call.intent":
            intents.add(body["call_id"])
        if body["kind"] == "call.outcome":
            outcomes[body["call_id"]] = outcomes.get(body["call_id"], 0) + 1
    return intents, outcomes


async def play(world: World, call: tuple[str, dict[str, str]]) -> Reply:
    session = await world.session()
    return await world.call(session, *call)


async def commits_of(folder: Path, call: tuple[str, dict[str, str]]) -> int:
    """How many commits opening a session and making one call need."""
    async with open_world(folder) as world:
        before = world.store.commits
        reply = await play(world, call)
        assert reply.result == text_result("done")
        return world.store.commits - before


async def test_the_number_of_crash_points_is_known(tmp_path: Path) -> None:
    assert await commits_of(tmp_path / "write", WRITE) == 3, "session, intent, outcome"
    assert await commits_of(tmp_path / "read", READ) == 2, "session, merged record"


@pytest.mark.parametrize("point", [2, 3])
async def test_a_disk_that_breaks_at_any_commit_of_a_write_leaves_nothing_unrecorded(
    tmp_path: Path, point: int
) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    async with open_world(tmp_path, store=store) as world:
        store.fail_at = frozenset({store.commits + point})
        reply = await play(world, WRITE)
        assert code_of(reply) == "audit_unavailable", "no record, no reply"
        ran = list(world.upstreams.ran)
        assert all(durable for _, _, durable in ran), "no effect without a durable intent"
        assert len(ran) == (1 if point == 3 else 0)
        assert world.house.gateway.health() is not None
        refused = await world.call(world.house.parts.sessions._live.popitem()[0], *READ)
        assert code_of(refused) == "audit_unavailable", "calls are refused from then on"
    store.restart()
    async with open_world(tmp_path, store=store, approved=False) as world:
        intents, outcomes = settled(store)
        assert set(outcomes) == intents
        assert all(count == 1 for count in outcomes.values())
        assert len(intents) == (1 if point == 3 else 0)
        assert not store.open_calls()
        if point == 3:
            last = world.records("call.outcome")[-1]
            assert (last["status"], last["settled_by"]) == ("unknown", "recovery")
        assert (await play(world, WRITE)).error is None, "and the gateway serves again"


async def test_a_full_disk_refuses_calls_and_serves_again_when_there_is_room(tmp_path: Path) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    async with open_world(tmp_path, store=store) as world:
        session = await world.session()
        store.full_at = frozenset({store.commits + 1})
        assert code_of(await world.call(session, *WRITE)) == "audit_unavailable"
        assert world.upstreams.ran == []
        assert (await world.call(session, *WRITE)).error is None
