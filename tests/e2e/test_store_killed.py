"""kill -9 of the process that writes: whatever it acknowledged is there, whole and verifiable, afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.governance.verify import verify_store
from toolward.ports.store import Table

KILLS = 10
SEED = 20261123
WRITER = """
import asyncio, sys
from pathlib import Path
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.model.event import Event, EventKind
from toolward.ports.store import Put, Table

async def main():
    clock, ids = SystemClock(), SystemIds()
    store = SqliteStore.open(Path(sys.argv[1]), origin="ward", clock=clock, ids=ids)

    async def worker():
        while True:
            name = ids.new()
            event = Event(event_id=name, time_ns=clock.now_ns(), kind=EventKind.CALL_INTENT, call_id=name, payloads={"a": b"x" * 500})
            (receipt,) = await store.commit([event], [Put(Table.SESSION, name, b"{}", 0)])
            sys.stdout.write(f"{receipt.index} {event.event_id}\\n")
            sys.stdout.flush()

    await asyncio.gather(*(worker() for _ in range(8)))

asyncio.run(main())
"""


@pytest.mark.e2e
async def test_ten_kills_lose_no_acknowledged_record(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    state = tmp_path / "state"
    acknowledged: dict[int, str] = {}
    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(state)], stdout=subprocess.PIPE)  # noqa: ASYNC220 -- nothing else runs here
        assert child.stdout
        for _ in range(chance.randrange(1, 400)):
            line = child.stdout.readline()
            assert line, "the writer ended by itself"
            index, event_id = line.split()
            acknowledged[int(index)] = event_id.decode()
        os.kill(child.pid, signal.SIGKILL)
        for line in child.stdout.read().splitlines():
            if len(parts := line.split()) == 2 and len(parts[1]) == 36:
                acknowledged[int(parts[0])] = parts[1].decode()
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        store = SqliteStore.open(state, origin="ward", clock=VirtualClock(), ids=CountingIds())
        assert verify_store(store, store.verifier_key()).ok
        stored = {record.index: orjson.loads(record.body)["event_id"] for record in store.records()}
        assert acknowledged.items() <= stored.items()
        assert {each.call_id for each in store.open_calls()} == set(stored.values())
        assert {row.key for row in store.scan(Table.SESSION)} == set(stored.values())
        assert store.payload(len(stored) - 1, "a") == b"x" * 500
        await store.close()
    assert len(acknowledged) > KILLS
