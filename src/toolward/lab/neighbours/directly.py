"""The control: what the gateway does with a server that misbehaves, done by what is not the gateway.

A call waits as long, reads as fast and steps back as the gateway's would, so that the server burns the same
time of the machine; whoever calls through the gateway meanwhile sees what that alone costs.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Final

import orjson

from toolward.adapters.tools.mcp.bounds import INTERIM_BURST_MAX, INTERIM_PER_S_MAX, PAUSE_S
from toolward.adapters.tools.mcp.flood import Bucket
from toolward.config.resilience import ResilienceConfig, to_settings
from toolward.kernel.resilience.breaker import Breaker
from toolward.lab.neighbours.server import TOOL
from toolward.lab.neighbours.ward import TIMEOUT_MS

_PAUSE_S: Final = 0.1
_LIMITS: Final = to_settings(ResilienceConfig(), ()).tool
_CALL: Final = orjson.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": TOOL, "arguments": {"text": "ill"}},
    }
)
_HEAD: Final = b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(_CALL)


async def call_directly(port: int, circuit: Breaker, seen: Counter[str]) -> None:
    """Call the server on `port` again and again for as long as the task lives, unless its circuit is open."""
    pace = Bucket(INTERIM_BURST_MAX, INTERIM_PER_S_MAX)
    while True:
        if circuit.refusing("", time.monotonic_ns()) is None:
            answered = await _call(port, pace)
            seen["answered directly" if answered else "failed directly"] += 1
            _ = circuit.ended(
                "",
                failed=not answered,
                trial=False,
                now_ns=time.monotonic_ns(),
                limits=_LIMITS,
                chance=random.random(),
            )
        await asyncio.sleep(_PAUSE_S)


async def _call(port: int, pace: Bucket) -> bool:
    """Whether an answer came in time; a stream is read as fast as the gateway reads one."""
    writer = None
    try:
        async with asyncio.timeout(TIMEOUT_MS / 1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_HEAD + _CALL)
            answered = b" 200 " in await reader.readline()
            while line := await reader.readline():
                if b'"result"' in line:
                    return True
                if line.startswith(b"data:") and (debt_s := pace.debt_s()) > PAUSE_S:
                    await asyncio.sleep(debt_s)
                if not answered:
                    return False
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()
    return False
