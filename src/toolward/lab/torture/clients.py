"""Callers on raw keep-alive connections, each of which remembers every answer and every silence."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from toolward.doors.mcp.wire import CLIENT_CAPABILITIES_KEY, DENIAL_KEY, PROTOCOL_VERSION_KEY, RECEIPT_KEY
from toolward.lab.torture.evidence import READ, WRITE
from toolward.lab.torture.gather import Answer
from toolward.lab.torture.witness import SERVER

VERSION: Final = "2026-07-28"
WRITES: Final = 0.7
"""Share of writes in the load."""
KNOCK_AGAIN_S: Final = 0.01
_HTTP_OK: Final = 200


class Gone(Exception):
    """The connection ended. `sent` says whether the gateway can have seen the request."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the gateway went away")
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the gateway listens, and the key that its callers show."""

    port: int
    token: str
    host: str = "127.0.0.1"

    def head(self, method: str, name: str = "", **more: str) -> bytes:
        """Request line and headers of a POST in the stateless era, without the length."""
        lines = {
            "host": f"{self.host}:{self.port}",
            "authorization": f"Bearer {self.token}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": VERSION,
            "mcp-method": method,
            **({"mcp-name": name} if name else {}),
            **{key.replace("_", "-"): value for key, value in more.items()},
        }
        text = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        return f"POST /servers/{SERVER}/mcp HTTP/1.1\r\n{text}".encode()


def with_length(head: bytes, body: bytes) -> bytes:
    """A whole request."""
    return head + f"content-length: {len(body)}\r\n\r\n".encode() + body


def call_body(tool: str, arguments: Mapping[str, Any], request_id: int = 1) -> bytes:
    """A `tools/call` of the stateless era."""
    meta = {PROTOCOL_VERSION_KEY: VERSION, CLIENT_CAPABILITIES_KEY: {}}
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params})


class Connection:
    """One keep-alive connection, opened when it is needed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON body. Raises `Gone`."""
        sent = False
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._target.host, self._target.port)
            reader, writer = self._streams
            sent = True
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            body = await reader.readexactly(_length_of(head))
            return status, orjson.loads(body) if body else {}
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Gone(sent=sent) from error

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


def _length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def read_answer(key: str, tool: str, status: int, message: Mapping[str, Any]) -> Answer:
    """What a reply says: its receipt, and the reason code if it is a refusal."""
    result = message.get("result", {})
    meta = result.get("_meta", {})
    code = ""
    if "error" in message or status != _HTTP_OK:
        data = message.get("error", {}).get("data")
        code = str(data.get("code", "?")) if isinstance(data, dict) else "?"
    elif DENIAL_KEY in meta:
        code = str(meta[DENIAL_KEY]["code"])
    return Answer(key=key, tool=tool, code=code, receipt=meta.get(RECEIPT_KEY))


@dataclass(slots=True)
class Load:
    """Callers that go on through every restart. Keys are unique, and none is ever sent twice."""

    target: Target
    prefix: str
    chance: random.Random
    answers: list[Answer] = field(default_factory=list)
    unanswered: dict[str, str] = field(default_factory=dict)  # key -> tool
    in_flight: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    stopping: bool = False

    async def run(self, callers: int) -> None:
        """Until `stopping` is set; then each caller waits for its last answer."""
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(self._caller(number))

    async def _caller(self, number: int) -> None:
        connection = Connection(self.target)
        heads = {tool: self.target.head("tools/call", tool) for tool in (WRITE, READ)}
        count = 0
        while not self.stopping:
            count += 1
            key = f"{self.prefix}-{number}-{count}"
            tool = WRITE if self.chance.random() < WRITES else READ
            self.in_flight[key] = tool
            began = time.perf_counter()
            try:
                answer = await connection.ask(with_length(heads[tool], call_body(tool, {"key": key}, count)))
            except Gone as gone:
                if gone.sent:
                    self.unanswered[key] = tool
                await asyncio.sleep(KNOCK_AGAIN_S)
            else:
                self.waits_s.append(time.perf_counter() - began)
                self.note(read_answer(key, tool, *answer))
            finally:
                del self.in_flight[key]
        connection.close()

    def note(self, answer: Answer) -> None:
        """Remember an answer."""
        self.answers.append(answer)
        if answer.code:
            self.refused[answer.code] += 1
