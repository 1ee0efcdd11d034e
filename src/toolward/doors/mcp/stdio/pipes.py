"""The stdio door: this process's stdin and stdout, bridged to the daemon."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Final

from toolward.config.limits import CALL_BYTES_MAX
from toolward.doors.mcp.stdio.bridge import StdioBridge

LINE_BYTES_MAX: Final = 2 * CALL_BYTES_MAX
"""A longer line can not be a call; the door would refuse it anyway."""
LINES_AHEAD_MAX: Final = 64
"""Lines read before they are taken, so that a client that floods waits and memory does not grow."""


async def run_stdio_bridge(socket_path: str, endpoint: str = "/mcp", *, connection_id: str) -> None:
    """Bridge this process's stdin and stdout to the daemon until stdin ends.

    `endpoint` is `/mcp` or `/servers/<name>/mcp`; `connection_id` is fresh and unguessable (`Ids.token`).
    """
    out = sys.stdout.buffer

    def write(line: bytes) -> None:
        out.write(line + b"\n")
        out.flush()

    bridge = StdioBridge(socket_path, endpoint, connection_id=connection_id, write=write)
    await bridge.run(_stdin_lines())


async def _stdin_lines() -> AsyncIterator[bytes]:
    """Lines until the end; one that is far beyond the limit of a call ends the connection.

    A thread reads: stdin may be a pipe, a file, a terminal or /dev/null, and an event loop can wait for
    some of them only. The thread is a daemon, since nothing can interrupt its read at the end.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    taken = threading.Semaphore(LINES_AHEAD_MAX)

    def read() -> None:
        while True:
            taken.acquire()
            line = sys.stdin.buffer.readline(LINE_BYTES_MAX)
            whole = line if line.endswith(b"\n") or len(line) < LINE_BYTES_MAX else b""
            try:
                loop.call_soon_threadsafe(lines.put_nowait, whole)
            except RuntimeError:  # the loop is closed: nobody listens any more
                return
            if not whole:
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while line := await lines.get():
        taken.release()
        yield line
