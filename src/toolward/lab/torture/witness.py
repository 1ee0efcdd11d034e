"""The tool server that remembers: a process of its own which writes each effect down before it answers.

    python -m toolward.lab.torture.witness FILE        prints its port, serves until it is killed

Raw ASGI, so that it costs little beside the gateway; it speaks the stateless era of MCP only.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import uvicorn
import uvloop

from toolward.adapters.system.clock import SystemClock
from toolward.lab.torture.evidence import READ, WRITE, Effect
from toolward.ports.clock import Clock

SERVER: Final = "witness"
SLOW: Final = "slow"
SLOW_S: Final = 0.3
_VERSION: Final = "2026-07-28"
_SCHEMA: Final = {
    "type": "object",
    "properties": {"key": {"type": "string", "maxLength": 200}},
    "required": ["key"],
    "additionalProperties": False,
}
TOOLS: Final = [
    {"name": WRITE, "description": "append a key to the witness's file", "inputSchema": _SCHEMA},
    {"name": READ, "description": "read something, which is written down too", "inputSchema": _SCHEMA},
    {"name": SLOW, "description": "read something slowly", "inputSchema": _SCHEMA},
]
_LABEL: Final = {"integrity": "trusted", "confidentiality": "public"}
_ARGUMENTS: Final = {"key": {"role": "content"}}
MANIFEST: Final = {
    "server": SERVER,
    "tools": {
        WRITE: {"effect": "reversible", "egress": False, "result": _LABEL, "arguments": _ARGUMENTS},
        READ: {"effect": "read_only", "egress": False, "result": _LABEL, "arguments": _ARGUMENTS},
        SLOW: {"effect": "read_only", "egress": False, "result": _LABEL, "arguments": _ARGUMENTS},
    },
}
"""One tool that must leave an intent first, and two whose intent and outcome are one record."""

Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Witness:
    """The ASGI application. `file` is appended to, one line for each effect before its answer."""

    file: int
    clock: Clock

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """One JSON-RPC request."""
        if scope["method"] != "POST":
            await _answer(send, 405, {})
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        request = orjson.loads(body)
        if "id" not in request:
            await _answer(send, 202, {})
            return
        result = await self._result(request["method"], request.get("params", {}))
        if result is None:
            error = {"code": -32601, "message": "no such method"}
            await _answer(send, 404, {"jsonrpc": "2.0", "id": request["id"], "error": error})
            return
        await _answer(send, 200, {"jsonrpc": "2.0", "id": request["id"], "result": result})

    async def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        complete = {"resultType": "complete"}
        if method == "server/discover":
            return {**complete, "supportedVersions": [_VERSION], "capabilities": {"tools": {}}}
        if method == "tools/list":
            return {**complete, "tools": TOOLS, "ttlMs": 0, "cacheScope": "private"}
        if method != "tools/call":
            return None
        if params["name"] == SLOW:
            await asyncio.sleep(SLOW_S)
        self._write_down(params["name"], params["arguments"]["key"])
        return {**complete, "content": [{"type": "text", "text": "done"}]}

    def _write_down(self, tool: str, key: str) -> None:
        seen = {"tool": tool, "key": key, "time_us": self.clock.now_ns() // 1000}
        os.write(self.file, orjson.dumps(seen) + b"\n")  # the kernel has it now, whoever is killed


async def _answer(send: Callable[[Message], Awaitable[None]], status: int, message: dict[str, Any]) -> None:
    body = orjson.dumps(message) if message else b""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def read_effects(path: Path) -> list[Effect]:
    """What the witness saw, in order."""
    return [Effect(**orjson.loads(line)) for line in path.read_bytes().splitlines()]


@contextmanager
def witness_process(file: Path) -> Iterator[int]:
    """A witness that writes to `file`, until the block ends; yields its port."""
    child = subprocess.Popen([sys.executable, "-m", __name__, str(file)], stdout=subprocess.PIPE)
    try:
        if child.stdout is None or not (line := child.stdout.readline()):
            raise RuntimeError("the witness did not start")
        yield int(line)
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def main() -> None:
    """Serve."""
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # who reads the port may connect at once, and waits
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        Witness(file, SystemClock()),
        loop="none",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
    )
    uvloop.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
