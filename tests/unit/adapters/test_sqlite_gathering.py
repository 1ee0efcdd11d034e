"""Which commits become one group while the disk is at work, and that nobody is left waiting by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event as Flag

from typing_extensions import override

from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.lab.faulty_disk import FaultyDisk
from toolward.model.event import Event, EventKind

PATIENCE_S = 20


class SlowDisk(FaultyDisk):
    """Its syncs wait until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.free = Flag(), Flag()
        self.free.set()

    @override
    def step(self, path: str, *, writes: bool) -> None:
        super().step(path, writes=writes)
        if not writes:
            self.asked.set()
            assert self.free.wait(PATIENCE_S)

    async def at_work(self) -> None:
        assert await asyncio.to_thread(self.asked.wait, PATIENCE_S)

    def hold(self) -> None:
        self.asked.clear()
        self.free.clear()


def opened(state: Path, disk: FaultyDisk) -> SqliteStore:
    return SqliteStore.open(state, origin="ward", clock=VirtualClock(), ids=CountingIds(), vfs=disk.name)


def event(name: str) -> Event:
    return Event(event_id=name, time_ns=1, kind=EventKind.CALL_DENIED, body={"name": name})


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_came_while_a_group_was_written_waits_for_what_its_answers_bring(tmp_path: Path) -> None:
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    disk.hold()

    async def twice() -> None:
        await store.commit([event("first")])
        await store.commit([event("first again")])

    one = asyncio.create_task(twice())
    await disk.at_work()
    two = asyncio.create_task(store.commit([event("second")]))
    await turns()
    disk.free.set()
    await asyncio.wait_for(asyncio.gather(one, two), PATIENCE_S)
    assert [size for size, _ in store.checkpoints()] == [1, 3]
    await store.close()


async def test_a_group_that_fails_lets_those_go_on_that_were_held(tmp_path: Path) -> None:
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    disk.hold()
    disk.fail_at, disk.lasting = disk.operations + 1, True
    one = asyncio.create_task(store.commit([event("first")]))
    two = asyncio.create_task(store.commit([event("second")]))
    await turns(1)
    three = asyncio.create_task(store.commit([event("third")]))
    disk.free.set()
    results = await asyncio.wait_for(asyncio.gather(one, two, three, return_exceptions=True), PATIENCE_S)
    assert [type(each).__name__ for each in results] == ["AuditStopped"] * 3
    await store.close()


def test_what_was_held_on_a_loop_that_ended_goes_on_with_the_next_ones_commit(tmp_path: Path) -> None:
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    disk.hold()

    async def leaves() -> None:
        _ = asyncio.create_task(store.commit([event("first")]))  # noqa: RUF006 -- ended with its loop
        await disk.at_work()
        _ = asyncio.create_task(store.commit([event("second")]))  # noqa: RUF006
        await turns()

    async def comes() -> None:
        third = asyncio.create_task(store.commit([event("third")]))
        await turns()
        disk.free.set()
        await asyncio.wait_for(third, PATIENCE_S)
        assert store.size() == 3
        await store.close()

    asyncio.run(leaves())
    asyncio.run(comes())


def test_what_was_held_on_a_loop_that_ended_is_written_when_the_store_is_closed(tmp_path: Path) -> None:
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    disk.hold()

    async def leaves() -> None:
        _ = asyncio.create_task(store.commit([event("first")]))  # noqa: RUF006 -- ended with its loop
        await disk.at_work()
        _ = asyncio.create_task(store.commit([event("second")]))  # noqa: RUF006
        await turns()

    asyncio.run(leaves())
    disk.free.set()
    asyncio.run(asyncio.wait_for(store.close(), PATIENCE_S))
    again = opened(tmp_path, disk)
    assert again.size() == 2
    asyncio.run(again.close())
