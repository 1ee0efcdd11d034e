"""The stdio door: this process's stdin and stdout, bridged to the daemon."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from toolward.config.limits import CALL_BYTES_MAX
from toolward.doors.mcp.bridge import StdioBridge


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
    """Lines until the end; one that is far beyond the limit of a call ends the connection."""
    reader = asyncio.StreamReader(limit=2 * CALL_BYTES_MAX)
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
        )
    except ValueError:  # a file, which is read in one go and never waits
        for line in sys.stdin.buffer:
            yield line
        return
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            return
        if not line:
            return
        yield line
