"""Every write and every sync of a small workload fails once: nothing acknowledged is lost, nothing is torn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest

from toolward.adapters.stores import sqlite, sqlite_writer
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import AuditStopped, AuditUnavailable, StoreUnavailable, ToolwardError
from toolward.governance.verify import verify_receipt, verify_store
from toolward.lab.faulty_disk import Fault, FaultyDisk
from toolward.model.event import Event, EventKind, Receipt
from toolward.ports.store import Put, Table

COMMITS = 4
MEMORY = Path("/dev/shm")  # where it exists, the sweeps need not wait for a real disk's syncs


@pytest.fixture
def sweep() -> Iterator[Path]:
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        yield Path(place)


def opened(state: Path, vfs: str = "") -> SqliteStore:
    return SqliteStore.open(state, origin="ward", clock=VirtualClock(), ids=CountingIds(10**6), vfs=vfs)


def group(number: int) -> list[Event]:
    return [
        Event(
            event_id=f"e-{number}-{part}",
            time_ns=number,
            kind=EventKind.CALL_INTENT,
            body={"commit": number, "part": part},
            payloads={"arguments": b"x" * 3000},
        )
        for part in range(1 + number % 3)
    ]


async def work(store: SqliteStore) -> tuple[dict[int, tuple[Receipt, ...]], list[int]]:
    """Commits one after another; what was acknowledged, and what was refused."""
    acknowledged, refused = {}, []
    for number in range(COMMITS):
        try:
            acknowledged[number] = await store.commit(
                group(number),
                [Put(Table.INCIDENT, "count", b"%d" % number), Put(Table.SESSION, f"{number}", b"{}", 0)],
            )
        except AuditUnavailable:
            refused.append(number)
            assert store.healthy() != ""
    return acknowledged, refused


async def check_after(state: Path, acknowledged: dict[int, tuple[Receipt, ...]]) -> None:
    """Whatever happened, the files open, verify, and hold whole commits, all acknowledged ones among them."""
    store = opened(state)
    assert store.healthy() == ""
    assert verify_store(store, store.verifier_key()).ok
    records = list(store.records())
    stored: dict[int, list[int]] = {}
    for record in records:
        body = orjson.loads(record.body)
        stored.setdefault(body["commit"], []).append(body["part"])
        assert store.payload(record.index, "arguments") == b"x" * 3000
    for number, parts in stored.items():
        assert parts == list(range(1 + number % 3))
        assert store.get(Table.SESSION, f"{number}")
    assert sorted(stored) == sorted(int(row.key) for row in store.scan(Table.SESSION))
    assert acknowledged.keys() <= stored.keys()
    for receipts in acknowledged.values():
        for receipt in receipts:
            assert verify_receipt(receipt, records[receipt.index].body, store.verifier_key()).ok
    await store.commit(group(COMMITS))
    await store.close()


async def run(state: Path, disk: FaultyDisk, *, power: bool = False) -> dict[int, tuple[Receipt, ...]]:
    try:
        store = opened(state, disk.name)
    except ToolwardError:
        return {}
    acknowledged, refused = await work(store)
    if disk.failures and disk.fault is Fault.BROKEN and refused:
        assert refused == list(range(refused[0], COMMITS))
        with pytest.raises(AuditUnavailable):
            await store.commit(group(0))
    if power:
        disk.fail_at, disk.lasting, disk.fault = disk.operations + 1, True, Fault.BROKEN
        disk.lose_power()
    await store.close()
    return acknowledged


async def operations(state: Path) -> int:
    disk = FaultyDisk()
    assert len(await run(state, disk)) == COMMITS
    return disk.operations


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("fault", list(Fault))
async def test_whichever_write_or_sync_fails_no_acknowledged_record_is_lost(
    sweep: Path, fault: Fault, lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sqlite_writer, "WAL_PAGES_MAX", 10
    )  # so that moving the log into the database fails too
    total = await operations(sweep / "sound")
    assert total > 80
    failed = 0
    for number in range(1, total + 1):
        state = sweep / f"{number}"
        disk = FaultyDisk(fail_at=number, fault=fault, lasting=lasting)
        acknowledged = await run(state, disk)
        failed += disk.failures > 0
        await check_after(state, acknowledged)
    assert failed > 40


async def test_a_power_cut_after_any_number_of_commits_loses_nothing_acknowledged(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "WAL_PAGES_MAX", 10)
    for number in range(1, await operations(sweep / "sound") + 1, 3):
        disk = FaultyDisk(fail_at=number, lasting=True)
        state = sweep / f"{number}"
        await check_after(state, await run(state, disk, power=True))


async def test_the_power_cut_really_takes_back_what_was_not_synced(tmp_path: Path) -> None:
    """The control: without syncs, acknowledged records are lost."""
    disk = FaultyDisk()
    store = opened(tmp_path, disk.name)
    store._writer._db.execute("PRAGMA synchronous=OFF")
    await work(store)
    disk.fail_at, disk.lasting = disk.operations + 1, True
    disk.lose_power()
    await store.close()
    (tmp_path / "checkpoint").unlink(missing_ok=True)
    try:
        store = opened(tmp_path)
    except ToolwardError:
        return
    assert store.size() < sum(len(group(number)) for number in range(COMMITS))
    await store.close()


async def test_after_a_failed_sync_nobody_is_left_waiting_and_nothing_is_tried_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    store = opened(tmp_path, disk.name)
    await store.commit(group(0))
    disk.fail_at = disk.operations + 1
    results = await asyncio.wait_for(
        asyncio.gather(*(store.commit(group(number)) for number in range(1, 50)), return_exceptions=True), 10
    )
    assert all(isinstance(result, AuditUnavailable) for result in results)
    done = disk.operations
    with pytest.raises(AuditUnavailable):
        await store.commit(group(9))
    assert disk.operations == done
    assert "stopped" in store.healthy()
    assert store.size() == 1
    await store.close()


async def test_a_bug_between_two_commits_stops_the_log_and_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    store = opened(tmp_path)
    monkeypatch.setattr(sqlite_writer, "ANCHOR_COMMITS", 1)
    monkeypatch.setattr(sqlite, "write_durably", bug)
    await store.commit(group(0))
    for number in (1, 2):
        with pytest.raises(AuditStopped, match="ZeroDivisionError"):
            await asyncio.wait_for(store.commit(group(number)), 20)
    assert "ZeroDivisionError" in store.healthy()
    await asyncio.wait_for(store.close(), 20)
    monkeypatch.undo()
    again = opened(tmp_path)
    assert again.healthy() == ""
    assert verify_store(again, again.verifier_key()).ok
    assert again.size() == 1
    await again.close()


async def test_a_full_disk_refuses_and_says_so_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    disk = FaultyDisk(fault=Fault.FULL, lasting=True)
    store = opened(tmp_path, disk.name)
    await store.commit(group(0))
    disk.fail_at = disk.operations + 1
    for refusals in (1, 2):
        with pytest.raises(AuditUnavailable, match="full"):
            await store.commit(group(1))
        assert f"({refusals} commits refused)" in store.healthy()
    assert store.size() == 1
    disk.fail_at = 0
    await store.commit(group(2))
    assert store.healthy() == ""
    assert store.size() == 1 + len(group(2))
    assert verify_store(store, store.verifier_key()).ok
    await store.close()
    store = opened(tmp_path)
    assert store.size() == 1 + len(group(2))
    await store.close()


def stands_in_a_file(state: Path, data: bytes) -> bool:
    return any(data in path.read_bytes() for path in state.glob("toolward.db*"))


async def test_a_shredded_key_stands_in_no_file_any_more(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit(group(2))
    (salt,) = store._writer._db.execute("SELECT salt FROM payload WHERE idx=1").fetchone()
    assert stands_in_a_file(tmp_path, salt)  # control: it was there
    await store.shred(1)
    assert not stands_in_a_file(tmp_path, salt)
    assert store.payload(0, "arguments")
    await store.close()


async def test_an_unreadable_database_is_store_unavailable(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store._reader.close()
    with pytest.raises(StoreUnavailable):
        store.get(Table.SESSION, "x")
    with pytest.raises(StoreUnavailable):
        store.find()
    await store.close()


async def test_payloads_moved_to_another_record_are_not_given_out(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit(group(2))
    db = store._writer._db
    db.execute("UPDATE payload SET (salt, box)=(SELECT salt, box FROM payload WHERE idx=1) WHERE idx=0")
    assert store.payload(1, "arguments")
    with pytest.raises(StoreUnavailable, match="altered"):
        store.payload(0, "arguments")
    await store.close()


async def test_closing_on_a_broken_disk_writes_nothing_more_and_gives_the_directory_back(
    tmp_path: Path,
) -> None:
    disk = FaultyDisk(lasting=True)
    store = opened(tmp_path, disk.name)
    await store.commit(group(0))
    disk.fail_at = disk.operations + 1
    with pytest.raises(AuditUnavailable):
        await store.commit(group(1))
    done = disk.operations
    await store.close()
    assert disk.operations == done, "the last connection would move the log into the database"
    store = opened(tmp_path)
    assert store.size() == 1
    await store.close()
