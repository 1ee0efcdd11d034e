"""A caller that goes, or a disk that is full, at any commit: nothing happens twice, and nothing stays held."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from harness import World, code_of, open_world
from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.kernel.stages import settle
from toolward.model.event import Event, EventKind, Receipt
from toolward.ports.store import Change

UNDO = """\
server: files
tools:
  write:
    effect: reversible
    egress: false
    arguments: {path: {role: authority, kind: path}, text: {role: content}}
    result: {integrity: trusted}
    undo:
      compensate: {tool: write, arguments: {path: /input/path, text: {value: old}}}
      resources: ["file:{arg:path}"]
"""
WRITE: tuple[str, dict[str, Any]] = ("files/write", {"path": "/data/a", "text": "x"})


class Watched(MemoryStore):
    """Tells when a record of a kind is on its way, so that its caller can go just then."""

    def __init__(self) -> None:
        super().__init__(clock=VirtualClock(), ids=CountingIds())
        self.on_its_way: dict[EventKind, asyncio.Event] = {}

    @override
    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        for event in events:
            if event.kind in self.on_its_way:
                self.on_its_way.pop(event.kind).set()
        return await super().commit(events, changes)


def nothing_is_held(world: World) -> None:
    safeguards = world.house.parts.safeguards
    assert world.house.parts.intend.clauses._bound == {}
    assert safeguards.once._held == {}
    assert not safeguards.frontiers._busy
    assert world.store.open_calls() == ()


async def gone_at(world: World, store: Watched, kind: EventKind, session: str, once: str) -> None:
    going = store.on_its_way[kind] = asyncio.Event()
    call = asyncio.ensure_future(world.call(session, *WRITE, once=once))
    await going.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await world.house.background.drain()


@pytest.mark.parametrize("kind", [EventKind.CALL_INTENT, EventKind.CALL_OUTCOME])
async def test_whoever_hangs_up_leaves_nothing_held_and_a_retry_learns_how_it_ended(
    tmp_path: Path, kind: EventKind
) -> None:
    store = Watched()
    async with open_world(tmp_path, files={"tools/files.yaml": UNDO}, store=store) as world:
        session = await world.session()
        await gone_at(world, store, kind, session, "k1")
        nothing_is_held(world)
        again = await world.call(session, *WRITE, once="k1")
        assert again.error is None
        ran = [arguments for key, arguments, _ in world.upstreams.ran if key == "files/write"]
        assert len(ran) == 1, "before it ran, the key is free again; after, the result is kept"
        nothing_is_held(world)


async def test_whoever_hangs_up_at_any_turn_of_the_loop_leaves_nothing_held_or_open(tmp_path: Path) -> None:
    async with open_world(tmp_path, files={"tools/files.yaml": UNDO}) as world:
        session = await world.session()
        whole = 0
        while True:
            call = asyncio.ensure_future(world.call(session, *WRITE, once=f"k{whole}"))
            for _ in range(whole):
                await asyncio.sleep(0)
            call.cancel()
            left = await asyncio.gather(call, return_exceptions=True)
            await world.house.background.drain()
            nothing_is_held(world)
            before = len(world.upstreams.ran)
            again = await world.call(session, *WRITE, once=f"k{whole}")
            intents, outcomes = (
                world.store.find(kind=kind.value, limit=10_000)
                for kind in (EventKind.CALL_INTENT, EventKind.CALL_OUTCOME)
            )
            assert len(intents) == len(outcomes), "every promise has its outcome"
            assert again.error is None or code_of(again) == "unknown_outcome"
            if not isinstance(left[0], BaseException):
                assert len(world.upstreams.ran) == before, "it had ended, and its retry is told the same"
                break
            whole += 1
        assert whole > 4, "there were turns at which it could go"


async def test_an_approval_is_not_given_back_by_a_retry_that_came_second_and_hung_up(tmp_path: Path) -> None:
    """The second one's intent is contested: it never was, so nothing of the first one's is undone."""
    store = Watched()
    async with open_world(tmp_path, files={"tools/files.yaml": UNDO}, store=store) as world:
        session = await world.session()
        running, go_on = asyncio.Event(), asyncio.Event()

        async def slow(*_: object) -> Any:
            running.set()
            await go_on.wait()
            world.upstreams.answers.pop("files/write")
            return await world.upstreams.execute(*_)  # type: ignore[arg-type]

        world.upstreams.answers["files/write"] = slow
        first = asyncio.ensure_future(world.call(session, *WRITE, once="k1"))
        await running.wait()
        second = asyncio.ensure_future(world.call(session, *WRITE, once="k1"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go_on.set()
        assert (await first).error is None
        await world.house.background.drain()
        nothing_is_held(world)


async def test_a_disk_that_was_full_for_a_moment_gets_the_outcome_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "FULL_PAUSE_S", 0.0)
    store = Watched()
    async with open_world(tmp_path, files={"tools/files.yaml": UNDO}, store=store) as world:
        session = await world.session()
        store.full_at = frozenset({store.commits + 2})
        assert code_of(await world.call(session, *WRITE, once="k1")) == "audit_unavailable"
        await world.house.background.drain()
        nothing_is_held(world)
        assert [record["status"] for record in world.records("call.outcome")] == ["returned"]
        assert (await world.call(session, *WRITE, once="k1")).error is None
        assert len([key for key, _, _ in world.upstreams.ran if key == "files/write"]) == 1
