"""Durable audit records per second and their CPU cost, beside the bare disk in the same run.

Run `python -m toolward.lab.bench_audit`. A record is an intent as the corridor writes it: a body of about
600 bytes, an encrypted payload of 300, its receipt; the second table row group adds the state change that
goes with it. CPU is the whole process's (user and system, both threads), the event loop included.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.governance.verify import verify_store
from toolward.lab.quiet import Slowness
from toolward.lab.report import Row, write_report
from toolward.model.event import Event, EventKind
from toolward.ports.store import Put, Table

SECONDS: Final = 3.0
IN_FLIGHT: Final = (1, 32, 256)
RECORDS_GOAL: Final = 9_000
BODY: Final = {
    "principal": {
        "user": "alice",
        "agent": "reporter",
        "roles": ["analyst"],
        "credential": "key-7",
        "kind": "api_key",
    },
    "args_digest": "hmac-sha256:" + "ab" * 32,
    "version": "sha256:" + "cd" * 32,
    "policy_digest": "sha256:" + "ef" * 32,
    "policies": ["guarded.reads", "ward.git"],
    "path": "open",
    "effect": "read_only",
    "isolation": "none",
}
PAYLOAD: Final = {"arguments": b'{"repo":"' + b"x" * 290 + b'"}'}


@dataclass(frozen=True, slots=True)
class Load:
    """What one round measured."""

    in_flight: int
    state: bool
    per_second: float
    cpu_us: float
    group: float
    p50_ms: float
    p99_ms: float


async def one_round(directory: Path, in_flight: int, *, state: bool, seconds: float) -> Load:
    """`in_flight` callers, each committing one record after the other for `seconds`."""
    clock, ids = SystemClock(), SystemIds()
    store = SqliteStore.open(directory, origin="bench/audit", clock=clock, ids=ids)
    end = clock.monotonic_ns() + int(seconds * 1e9)
    waits: list[int] = []

    async def caller() -> None:
        while (start := clock.monotonic_ns()) < end:
            call_id = ids.new()
            event = Event(
                event_id=call_id,
                time_ns=clock.now_ns(),
                kind=EventKind.CALL_MERGED,
                call_id=call_id,
                session_id="0192f6a0-0000-7000-8000-000000000001",
                tool="git/git_log",
                body=BODY,
                payloads=PAYLOAD,
            )
            await store.commit([event], [Put(Table.SESSION, call_id, b"{}", 0)] if state else ())
            waits.append(clock.monotonic_ns() - start)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    groups = sum(1 for _ in store.checkpoints())
    verdict = verify_store(store, store.verifier_key())
    await store.close()
    if not verdict.ok:
        sys.exit(f"the log does not verify: {verdict.sentence()}")
    waits.sort()
    count = len(waits)
    return Load(
        in_flight=in_flight,
        state=state,
        per_second=count / wall,
        cpu_us=cpu / count * 1e6,
        group=count / groups,
        p50_ms=waits[count // 2] / 1e6,
        p99_ms=waits[int(count * 0.99)] / 1e6,
    )


def disk_syncs(directory: Path, count: int = 1_000) -> float:
    """Bare 4 KiB overwrite and fdatasync, per second."""
    descriptor = os.open(directory / "raw", os.O_RDWR | os.O_CREAT, 0o600)
    block = bytes(4_096)
    for _ in range(count):
        os.write(descriptor, block)
    os.fsync(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    start = time.perf_counter()
    for _ in range(count):
        os.write(descriptor, block)
        os.fdatasync(descriptor)
    elapsed = time.perf_counter() - start
    os.close(descriptor)
    return count / elapsed


def rows_of(load: Load, slow: Slowness) -> list[Row]:
    """The figures of one round. The budget is the quiet machine's: the disk is the lesser part there."""
    name = f"{load.in_flight} in flight{', with state' if load.state else ''}"
    rows = [Row(f"durable records, {name}", round(load.per_second), "1/s")]
    if load.in_flight == 32 and not load.state:  # noqa: PLR2004 -- where the budget is set
        scaled = load.per_second * slow.times
        what = f"durable records, {name}, on the quiet machine's scale"
        rows.append(Row(what, round(scaled), "1/s", f">= {RECORDS_GOAL}", scaled >= RECORDS_GOAL))
    return [
        *rows,
        Row(f"CPU per record, {name}", round(load.cpu_us, 1), "us"),
        Row(f"records per group, {name}", round(load.group, 1)),
        Row(f"wait p50, {name}", round(load.p50_ms, 2), "ms"),
        Row(f"wait p99, {name}", round(load.p99_ms, 2), "ms"),
    ]


def measure(place: Path | None = None, *, seconds: float = SECONDS) -> list[Row]:
    """The bare disk and every round, in a new directory below `place`, which says on which disk."""
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    slow, loads = Slowness(), []
    with tempfile.TemporaryDirectory(dir=place) as directory:
        disk = Row("bare disk, 4 KiB fdatasync", round(disk_syncs(Path(directory))), "1/s")
        for in_flight in IN_FLIGHT:
            for state in (False, True):
                where = Path(directory, f"{in_flight}-{state}")
                loads.append(uvloop.run(one_round(where, in_flight, state=state, seconds=seconds)))
                slow.look()
    return [disk, *(row for load in loads for row in rows_of(load, slow)), slow.row()]


def main() -> None:
    """Measure and report; the directory for the files may be given as the argument."""
    write_report("bench_audit", measure(Path(sys.argv[1]) if len(sys.argv) > 1 else None))


if __name__ == "__main__":
    main()
