"""A scripted agent: MCP over streamable HTTP (2025-11-25) in bare JSON-RPC, as any client would speak it."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

ERA: Final = "2025-11-25"
RECEIPT: Final = "dev.toolward/receipt"
DENIAL: Final = "dev.toolward/denial"
"""As the documentation gives these names to clients."""
TIMEOUT_S: Final = 60


class NotAnswered(Exception):
    """The gateway gave no JSON-RPC answer; the text says what came instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the agent sees of one call."""

    text: str
    is_error: bool
    denial: Mapping[str, Any]  # empty where the call was let through
    receipt: Mapping[str, Any]
    structured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The stable code of a denial, or ''."""
        return str(self.denial.get("code", ""))

    @property
    def record(self) -> int:
        """Where in the audit log this answer stands; -1 without a receipt."""
        return int(self.receipt.get("index", -1))


class Agent:
    """One MCP session. Close it with `close`."""

    def __init__(self, url: str, key: str, *, session: str = "") -> None:
        """Sign in with an API key, and with the handle if a host opened a session. Raises `NotAnswered`."""
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Prefer": "wait=0",  # nobody stands by to approve: it is told at once
        }
        if session:
            self._headers["X-Toolward-Session"] = session
        self._number = 0
        self._request(
            "initialize",
            {
                "protocolVersion": ERA,
                "capabilities": {},
                "clientInfo": {"name": "bookkeeper", "version": "1.0.0"},
            },
        )
        self._headers["MCP-Protocol-Version"] = ERA
        self._post({"method": "notifications/initialized"})

    def tools(self) -> dict[str, dict[str, Any]]:
        """The tools that this agent may see, by name."""
        found = self._request("tools/list", {})["tools"]
        return {tool["name"]: tool for tool in found}

    def call(self, tool: str, /, **arguments: Any) -> Answer:
        """Call a tool by the name that `tools` gives it. Raises `NotAnswered` for a protocol error."""
        result = self._request("tools/call", {"name": tool, "arguments": arguments})
        meta = result.get("_meta") or {}
        return Answer(
            text="\n".join(str(item.get("text", "")) for item in result.get("content", ())),
            is_error=bool(result.get("isError")),
            denial=meta.get(DENIAL) or {},
            receipt=meta.get(RECEIPT) or {},
            structured=result.get("structuredContent") or {},
        )

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self._number += 1
        for message in self._post({"id": self._number, "method": method, "params": params}):
            if message.get("id") != self._number:
                continue
            if "error" in message:
                raise NotAnswered(f"`{method}` was answered with {message['error']}")
            result: dict[str, Any] = message["result"]
            return result
        raise NotAnswered(f"`{method}` was not answered")

    def _post(self, message: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send one message; returns every message of the answer, be it JSON or an event stream."""
        body = orjson.dumps({"jsonrpc": "2.0", **message})
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise NotAnswered(f"HTTP {answer.status}: {data.decode('utf-8', 'replace')[:500]}")
        session = answer.headers.get("Mcp-Session-Id")
        if session:
            self._headers["Mcp-Session-Id"] = session
        if answer.headers.get_content_type() == "text/event-stream":
            lines = [line[5:] for line in data.splitlines() if line.startswith(b"data:")]
            return [orjson.loads(line) for line in lines if line.strip()]
        return [orjson.loads(data)] if data else []
