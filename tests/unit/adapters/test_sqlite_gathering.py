"""Which commits become one group while the disk is at work, and that nobody is left waiting by it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event as Flag

import orjson
import pytest
from typing_extensions import override

from toolward.adapters.stores import gathering, sqlite
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import Overloaded, WardError
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
        if not writes:
            self.asked.set()
            assert self.free.wait(PATIENCE_S)
        super().step(path, writes=writes)

    async def at_work(self) -> None:
        assert await asyncio.to_thread(self.asked.wait, PATIENCE_S)

    def hold(self) -> None:
        self.asked.clear()
        self.free.clear()


def opened(state: Path, disk: FaultyDisk) -> SqliteStore:
    return SqliteStore.open(state, origin="ward", clock=VirtualClock(), ids=CountingIds(), vfs=disk.name)


def event(name: str) -> Event:
    return Event(event_id=name, time_ns=1, kind=EventKind.CALL_DENIED, body={"name": name})


async def in_the_middle_of_a_sync(store: SqliteStore, disk: SlowDisk) -> asyncio.Task[object]:
    """One commit whose group is being written, until the disk is let go."""
    disk.hold()
    one: asyncio.Task[object] = asyncio.create_task(store.commit([event("first")]))
    await disk.at_work()
    return one


def is_held(store: SqliteStore) -> bool:
    return store._gatherer.holds


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
    assert is_held(store)
    disk.free.set()
    await asyncio.wait_for(asyncio.gather(one, two), PATIENCE_S)
    assert [size for size, _ in store.checkpoints()] == [1, 3]
    await store.close()


async def test_a_group_that_fails_lets_those_go_on_that_were_held(tmp_path: Path) -> None:
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    one = await in_the_middle_of_a_sync(store, disk)
    two = asyncio.create_task(store.commit([event("second")]))
    await turns()
    assert is_held(store)
    disk.fail_at, disk.lasting = disk.operations + 1, True
    disk.free.set()
    results = await asyncio.wait_for(asyncio.gather(one, two, return_exceptions=True), PATIENCE_S)
    assert [type(each).__name__ for each in results] == ["AuditStopped"] * 2
    await store.close()


async def test_of_two_calls_out_of_step_neither_waits_for_each_of_the_others_groups(tmp_path: Path) -> None:
    """Both had a group to themselves before: that does not count for who was held."""
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    await store.commit([event("alone")])
    disk.hold()

    async def caller(name: str, times: int) -> None:
        for number in range(times):
            await store.commit([event(f"{name} {number}")])

    one = asyncio.create_task(caller("one", 4))
    await disk.at_work()
    two = asyncio.create_task(caller("two", 3))
    await turns()
    disk.free.set()
    await asyncio.wait_for(asyncio.gather(one, two), PATIENCE_S)
    assert [size for size, _ in store.checkpoints()] == [1, 2, 4, 6, 8]
    await store.close()


async def test_what_is_held_counts_against_the_queue_record_by_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "COMMIT_QUEUE_MAX", 20)
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    one = await in_the_middle_of_a_sync(store, disk)
    two = asyncio.create_task(store.commit([event(f"second {number}") for number in range(19)]))
    await turns()
    with pytest.raises(Overloaded):
        await store.commit([event("too many")])
    disk.free.set()
    await asyncio.wait_for(asyncio.gather(one, two), PATIENCE_S)
    await store.commit([event("room again")])
    assert store.size() == 21
    await store.close()


async def test_what_is_held_is_written_in_groups_of_the_usual_size_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "COMMIT_BATCH_MAX", 8)
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    disk.hold()
    names = [f"e-{number}" for number in range(21)]
    tasks = [asyncio.create_task(store.commit([event(names[0])]))]
    await disk.at_work()
    tasks += [asyncio.create_task(store.commit([event(name)])) for name in names[1:20]]
    tasks.append(asyncio.create_task(store.commit([event(names[20])] * 9)))  # more than a group by itself
    await turns()
    disk.free.set()
    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)
    assert [size for size, _ in store.checkpoints()] == [1, 9, 17, 20, 29]
    written = [orjson.loads(record.body)["event_id"] for record in store.records()]
    assert written[:20] == names[:20]
    await store.close()


async def test_another_process_is_kept_out_until_the_last_write_though_closing_was_called_off(
    tmp_path: Path,
) -> None:
    disk = SlowDisk()
    store = opened(tmp_path, disk)
    one = await in_the_middle_of_a_sync(store, disk)
    closing = asyncio.create_task(store.close())
    await turns()
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    with pytest.raises(WardError, match="another"):
        opened(tmp_path, disk)
    disk.free.set()
    await asyncio.wait_for(one, PATIENCE_S)
    await asyncio.to_thread(store._writer._thread.join, PATIENCE_S)
    again = opened(tmp_path, disk)
    assert again.size() == 1
    await again.close()


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
