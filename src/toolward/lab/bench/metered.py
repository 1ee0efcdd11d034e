"""A daemon that knows where its CPU goes: `python -m toolward.lab.bench.metered WARD PORT`.

It is `toolward up` with a meter around each stage and around what stands beside them; nothing is left out.
For each line of input it answers with what was spent since the line before.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

from toolward.adapters.stores import commits, sqlite, sqlite_writer
from toolward.adapters.stores.sealing import Sealer
from toolward.adapters.tools.mcp.http import client as http_client
from toolward.bootstrap.daemon import Watch, run_daemon
from toolward.doors.mcp.door import McpDoor
from toolward.doors.uvicorn_protocol import DoorProtocol
from toolward.kernel import gateway
from toolward.kernel.gateway import Gateway
from toolward.kernel.stages.admit import Admit
from toolward.kernel.stages.authorize import Authorize
from toolward.kernel.stages.execute import Execute
from toolward.kernel.stages.intend import Intend
from toolward.kernel.stages.label import Label
from toolward.kernel.stages.resolve import Resolve
from toolward.kernel.stages.settle import Settle
from toolward.lab.bench.meter import LOOP, Meter, reading_ns
from toolward.lab.bench.processes import thread_cpu_ns

WRITER: Final = "writer thread"
OTHERS: Final = "other threads"
WRITER_NAME: Final = "toolward-store"
CORRIDOR: Final = "corridor between the stages"
PLACES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("http in (uvicorn, httptools)", DoorProtocol, "data_received"),
    ("door", McpDoor, "__call__"),
    (CORRIDOR, Gateway, "perform"),
    (CORRIDOR, Gateway, "_walk"),
    ("1 admit", Admit, "__call__"),
    ("2 resolve", Resolve, "__call__"),
    ("3 label", Label, "__call__"),
    ("4 decide", gateway, "decide"),
    ("5 authorize", Authorize, "__call__"),
    ("6 intend", Intend, "__call__"),
    ("7 execute", Execute, "__call__"),
    ("http from upstream", http_client._Connection, "data_received"),  # noqa: SLF001 -- no other seam there
    ("8 settle", Settle, "__call__"),
    ("store: hand over", sqlite.SqliteStore, "commit"),
    ("store: seal", Sealer, "seal"),
    ("store: put rows in", sqlite_writer.Writer, "_begin"),
    ("store: answers", commits, "settle"),
)


def install(meter: Meter) -> None:
    """Put `meter` around every place. Once for a process, before anything is made."""
    for owner, holder, name in PLACES:
        setattr(holder, name, meter.wrap(owner, getattr(holder, name)))


async def _answer(meter: Meter, stop: asyncio.Event) -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    cost = reading_ns()
    process, thread, writer = time.process_time_ns(), time.thread_time_ns(), thread_cpu_ns(WRITER_NAME)
    meter.reset()
    while await lines.readline():
        meter.switch("")
        spent = {
            owner: max(ns - meter.left[owner] * cost, 0.0) for owner, ns in meter.spent_ns.items() if owner
        }
        main = time.thread_time_ns() - thread
        beside = time.process_time_ns() - process - main
        spent[WRITER] = float(thread_cpu_ns(WRITER_NAME) - writer)
        spent[OTHERS] = max(beside - spent[WRITER], 0.0)
        answer = {"spent_ns": spent, "calls": meter.entered["5 authorize"]}
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()
        process, thread, writer = time.process_time_ns(), time.thread_time_ns(), thread_cpu_ns(WRITER_NAME)
        meter.switch(LOOP)
        meter.reset()
    stop.set()


async def _main(ward: Path, port: int) -> None:
    meter = Meter()
    install(meter)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_answer(meter, stop))
        await run_daemon(ward, stop, watch=Watch(), port=port)


if __name__ == "__main__":
    uvloop.run(_main(Path(sys.argv[1]), int(sys.argv[2])))
