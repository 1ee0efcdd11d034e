"""The floor: the least that one durable, governed call can cost in this language.

Started as `uvicorn toolward.lab.bench.floor:app`, with `FLOOR_UPSTREAM` (host:port) and `FLOOR_LOG` (a file
that does not exist). One JSON parse, one schema, one Cedar decision of ten policies, two hashed records in a
group-committed SQLite log with a signature for each group, one pooled connection to the server. It has no
sessions, labels, pins, payloads or receipts, and believes whoever calls. Its cost tells how fast this machine
is today: on the quiet two-core machine of the budgets it takes `QUIET_CPU_MS` and serves `QUIET_RATE`.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from hashlib import sha256
from queue import Empty, SimpleQueue
from typing import Any, Final

import apsw
import cedarpy
import jsonschema_rs
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from toolward.doors.mcp.wire import Receive, Scope, Send
from toolward.lab.bench.client import Wire

QUIET_CPU_MS: Final = 0.27
"""CPU of one call through the floor on a quiet machine of the kind that the budgets are written for."""
QUIET_RATE: Final = 3_000
"""Calls per second there, 32 in flight."""
_GROUP_MAX: Final = 512
_JSON: Final = (b"content-type", b"application/json")
_HEAD: Final = (
    b"POST /mcp HTTP/1.1\r\nhost: floor\r\ncontent-type: application/json\r\n"
    b"accept: application/json, text/event-stream\r\n"
)
_ARGUMENTS: Final = jsonschema_rs.validator_for(
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
)
_SCHEMA: Final = """
entity User; entity Server; entity Agent;
action "echo" appliesTo {
  principal: [User], resource: [Server],
  context: { arguments: { text: String }, agent: Agent, tainted: Bool, calls: Long } };
"""
_POLICIES: Final = (
    'permit(principal, action == Action::"echo", resource) when { !context.tainted };'
    + "".join(
        f'forbid(principal, action == Action::"echo", resource) when {{ context.calls > {10**12 + number} }};'
        for number in range(9)
    )
)


class Log:
    """Two columns, one thread, one signature for each group."""

    def __init__(self, path: str) -> None:
        """Start the thread."""
        self._queue: SimpleQueue[tuple[bytes, asyncio.Future[None]]] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(path,), daemon=True).start()

    def append(self, record: dict[str, Any]) -> asyncio.Future[None]:
        """Done when it is durable."""
        future = self._loop.create_future()
        self._queue.put((orjson.dumps(record), future))
        return future

    def _run(self, path: str) -> None:
        database = apsw.Connection(path)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE log(record, leaf)",
        ):
            database.execute(statement).fetchall()
        signer, head = Ed25519PrivateKey.generate(), b""
        while True:
            group = [self._queue.get()]
            try:
                while len(group) < _GROUP_MAX:
                    group.append(self._queue.get_nowait())
            except Empty:
                pass
            rows = [(record, sha256(b"\0" + record).digest()) for record, _ in group]
            for _, leaf in rows:
                head = sha256(b"\1" + head + leaf).digest()
            with database:
                database.executemany("INSERT INTO log VALUES(?,?)", rows)
            signer.sign(head)
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in group])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class Floor:
    """The ASGI application; what it holds is made with the first request, on the running loop."""

    def __init__(self) -> None:
        """Parse what every decision needs."""
        self._log: Log | None = None
        self._idle: list[Wire] = []
        self._calls = 0
        self._policies = cedarpy.PolicySet.from_str(_POLICIES)
        self._schema = cedarpy.Schema.from_str(_SCHEMA)
        self._entities = cedarpy.Entities.from_json_str("[]")

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        status, answer = await self._answer(orjson.loads(body))
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": status, "headers": [_JSON, length]})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, message: dict[str, Any]) -> tuple[int, bytes]:
        if "id" not in message:
            return 202, b""
        if message["method"] == "initialize":
            result: dict[str, Any] = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "floor", "version": "1"},
            }
            return 200, orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
        return 200, await self._call(message)

    async def _call(self, message: dict[str, Any]) -> bytes:
        log = self._log = self._log or Log(os.environ["FLOOR_LOG"])
        params = message["params"]
        arguments = params["arguments"]
        self._calls += 1
        if not _ARGUMENTS.is_valid(arguments) or not self._allowed(arguments):
            return orjson.dumps(
                {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32001, "message": "no"}}
            )
        call_id = os.urandom(16).hex()
        digest = sha256(orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)).hexdigest()
        common = {"call": call_id, "user": "u", "agent": "a", "tool": params["name"]}
        await log.append({**common, "kind": "intent", "time": time.time_ns(), "arguments": digest})
        result = await self._forward(orjson.dumps(message))
        body = orjson.dumps(result)
        await log.append(
            {**common, "kind": "outcome", "time": time.time_ns(), "result": sha256(body).hexdigest()}
        )
        return orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": orjson.Fragment(body)})

    def _allowed(self, arguments: dict[str, Any]) -> bool:
        agent = {"__entity": {"type": "Agent", "id": "a"}}
        found = cedarpy.is_authorized(
            {
                "principal": {"type": "User", "id": "u"},
                "action": {"type": "Action", "id": "echo"},
                "resource": {"type": "Server", "id": "s"},
                "context": {"arguments": arguments, "agent": agent, "tainted": False, "calls": self._calls},
            },
            self._policies,
            self._entities,
            self._schema,
        )
        return bool(found.allowed) and not found.diagnostics.errors

    async def _forward(self, body: bytes) -> dict[str, Any]:
        wire = (
            next((each for each in iter(self._taken, None) if each.usable), None) or await self._connected()
        )
        _, _, answer = await wire.ask(_HEAD, body)
        self._idle.append(wire)
        result: dict[str, Any] = orjson.loads(answer)["result"]
        return result

    def _taken(self) -> Wire | None:
        return self._idle.pop() if self._idle else None

    @staticmethod
    async def _connected() -> Wire:
        host, _, port = os.environ["FLOOR_UPSTREAM"].partition(":")
        wire = Wire()
        await asyncio.get_running_loop().create_connection(lambda: wire, host, int(port))
        return wire


app: Final = Floor()
