"""A raw MCP client over one kept connection, as cheap as a caller can be. Every reply is read and checked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httptools
import orjson
from typing_extensions import override

from toolward.doors.mcp.wire import CLIENT_CAPABILITIES_KEY, PROTOCOL_VERSION_KEY, STATELESS_VERSIONS

HANDSHAKE: Final = "handshake"
STATELESS: Final = "stateless"
_HANDSHAKE_VERSION: Final = "2025-11-25"
_ACCEPT: Final = "application/json, text/event-stream"
_META: Final = {
    PROTOCOL_VERSION_KEY: STATELESS_VERSIONS[0],
    CLIENT_CAPABILITIES_KEY: {},
    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
}


class WrongReply(Exception):
    """The target answered something that is not the right answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where and how to call: `headers` go with every request, `tool` is called with `{"text": ...}`."""

    url: str
    tool: str
    era: str = HANDSHAKE
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire(asyncio.Protocol):
    """One HTTP/1.1 connection, one exchange at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[tuple[int, bytes, bytes]] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._kind = b""
        self.session = ""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(WrongReply("the connection was closed"))

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        lowered = name.lower()
        if lowered == b"content-type":
            self._kind = value
        elif lowered == b"mcp-session-id":
            self.session = value.decode("ascii")

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The reply is whole."""
        reply, self._reply = self._reply, None
        if reply is not None and not reply.done():
            reply.set_result((self._parser.get_status_code(), self._kind, bytes(self._body)))

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[tuple[int, bytes, bytes]]:
        """Send one request; the future brings status, content type and body."""
        if self._transport is None or not self.usable:
            raise WrongReply("the connection is closed")
        self._body.clear()
        self._kind = b""
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        return self._reply

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Drop it."""
        if self._transport is not None:
            self._transport.abort()


class Caller:
    """One session on one connection."""

    def __init__(self, address: Address) -> None:
        """Nothing is sent before `open`."""
        self._address = address
        self._wire = Wire()
        self._head = b""
        self._last_id = 0

    async def open(self) -> None:
        """Connect, and shake hands where the era has it. Raises `WrongReply`, `OSError`."""
        parts = urlsplit(self._address.url)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._wire, parts.hostname or "", parts.port or 80)
        lines = {
            "host": parts.netloc,
            "content-type": "application/json",
            "accept": _ACCEPT,
            **self._address.headers,
        }
        if self._address.era == STATELESS:
            lines |= {"mcp-protocol-version": STATELESS_VERSIONS[0]}
            lines |= {"mcp-method": "tools/call", "mcp-name": self._address.tool}
        self._head = _head(parts.path, lines)
        if self._address.era == HANDSHAKE:
            client = {"name": "load", "version": "1"}
            hello = {"protocolVersion": _HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": client}
            await self._request("initialize", hello)
            lines |= {"mcp-protocol-version": _HANDSHAKE_VERSION}
            if self._wire.session:
                lines |= {"mcp-session-id": self._wire.session}
            self._head = _head(parts.path, lines)
            told = orjson.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
            await self._wire.ask(self._head, told)

    async def call(self, text: str) -> None:
        """One `tools/call` whose reply must hold `text`. Raises `WrongReply`."""
        params: dict[str, Any] = {"name": self._address.tool, "arguments": {"text": text}}
        if self._address.era == STATELESS:
            params["_meta"] = _META
        result = await self._request("tools/call", params)
        if result.get("isError") or result["content"][0]["text"] != text:
            raise WrongReply(f"not the echo of `{text}`: {str(result)[:300]}")

    async def leave(self) -> None:
        """End the session, where the target keeps one: it serves a bounded number of them."""
        if self._wire.session and self._wire.usable:
            with contextlib.suppress(WrongReply):  # a target that is being stopped ends it by itself
                await self._wire.ask(self._head.replace(b"POST", b"DELETE", 1), b"")
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        self._wire.close()

    async def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self._last_id += 1
        body = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        status, kind, answer = await self._wire.ask(self._head, orjson.dumps(body))
        message = _message(kind, answer)
        if status != 200 or message is None or message.get("id") != self._last_id:  # noqa: PLR2004 -- HTTP's OK
            raise WrongReply(f"HTTP {status} to `{method}`: {answer[:300]!r}")
        result = message.get("result")
        if not isinstance(result, dict):
            raise WrongReply(f"`{method}` failed: {answer[:300]!r}")
        return result


def _head(path: str, lines: Mapping[str, str]) -> bytes:
    return f"POST {path} HTTP/1.1\r\n{''.join(f'{k}: {v}{_END}' for k, v in lines.items())}".encode()


def _message(kind: bytes, body: bytes) -> dict[str, Any] | None:
    """The JSON-RPC answer in a reply that is JSON, or an event stream that has ended."""
    if not kind.startswith(b"text/event-stream"):
        return _object(body)
    for line in body.splitlines():
        if line.startswith(b"data:") and line[5:].strip():
            message = _object(line[5:])
            if message is not None and "id" in message:
                return message
    return None


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


_END: Final = "\r\n"
