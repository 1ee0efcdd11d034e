"""Rows that the store keeps between reads are never older than what a caller was told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from toolward.adapters.stores import sqlite_reader
from toolward.adapters.stores.keys import Keys
from toolward.adapters.stores.sealing import Sealer
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.model.event import Event, EventKind
from toolward.ports.store import Conflict, Delete, Put, Table


def opened(path: Path) -> SqliteStore:
    return SqliteStore.open(path, origin="test/kept", clock=VirtualClock(), ids=CountingIds())


async def test_a_row_is_read_once_until_its_table_changes(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit([], [Put(Table.CREDENTIAL, "k", b"{}")])
    first = store.get(Table.CREDENTIAL, "k")
    assert store.get(Table.CREDENTIAL, "k") is first
    await store.commit([], [Put(Table.SESSION, "c", b"{}")])
    assert store.get(Table.CREDENTIAL, "k") is first
    await store.commit([], [Put(Table.CREDENTIAL, "other", b"{}")])
    assert store.get(Table.CREDENTIAL, "k") is not first
    await store.close()


async def test_a_revoked_row_is_gone_at_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit([], [Put(Table.CREDENTIAL, "k", b"1")])
    assert store.get(Table.CREDENTIAL, "k") is not None
    await store.commit([], [Put(Table.CREDENTIAL, "k", b"2", expect=1)])
    row = store.get(Table.CREDENTIAL, "k")
    assert row is not None
    assert (row.body, row.version) == (b"2", 2)
    await store.commit([], [Delete(Table.CREDENTIAL, "k")])
    assert store.get(Table.CREDENTIAL, "k") is None
    await store.commit([], [Put(Table.CREDENTIAL, "k", b"3")])  # what is absent is not kept as absent
    assert store.get(Table.CREDENTIAL, "k") is not None
    await store.close()


async def test_a_commit_whose_caller_went_away_is_seen_all_the_same(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit([], [Put(Table.CREDENTIAL, "k", b"1")])
    assert store.get(Table.CREDENTIAL, "k") is not None
    leaving = asyncio.ensure_future(store.commit([], [Delete(Table.CREDENTIAL, "k")]))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    store.get(Table.CREDENTIAL, "k")  # may still be the old row, and is then kept
    await store.commit([], [Put(Table.INCIDENT, "later", b"{}")])  # after it: commits keep their order
    assert store.get(Table.CREDENTIAL, "k") is None
    await store.close()


async def test_a_conflict_changes_nothing_that_is_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit([], [Put(Table.INCIDENT, "k", b"1")])
    assert store.get(Table.INCIDENT, "k") is not None
    with pytest.raises(Conflict):
        await store.commit([], [Put(Table.INCIDENT, "k", b"2", expect=7)])
    row = store.get(Table.INCIDENT, "k")
    assert row is not None
    assert row.body == b"1"
    await store.close()


async def test_long_rows_are_not_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.commit([], [Put(Table.INCIDENT, "k", b"x" * (sqlite_reader.KEPT_BYTES_MAX + 1))])
    first = store.get(Table.INCIDENT, "k")
    again = store.get(Table.INCIDENT, "k")
    assert first == again
    assert first is not again
    await store.close()


@pytest.mark.parametrize("data", [b"", b"a", b"x" * 63, b"x" * 64, b"x" * 1_000_000])
def test_the_digest_is_the_hmac_of_rfc_2104(data: bytes) -> None:
    import hmac

    key = bytes(range(32))
    expected = hmac.new(key, data, "sha256").hexdigest()
    sealer = Sealer(Keys(signing=b"s" * 32, digest=key, payload=b"p" * 32))
    assert sealer.digest(data) == f"hmac-sha256:{expected}"
    assert sealer.digest(data) == f"hmac-sha256:{expected}"  # and again: the kept blocks are not used up


def test_a_digest_that_is_known_is_the_one_that_would_be_made() -> None:
    sealer = Sealer(Keys(signing=b"s" * 32, digest=b"d" * 32, payload=b"p" * 32))
    plain = Event(event_id="e", time_ns=0, kind=EventKind.CALL_INTENT, payloads={"a": b"1", "b": b"2"})
    known = Event(
        event_id="e",
        time_ns=0,
        kind=EventKind.CALL_INTENT,
        payloads={"a": b"1", "b": b"2"},
        digests={"a": sealer.digest(b"1")},
    )
    assert sealer.seal(plain).body == sealer.seal(known).body
