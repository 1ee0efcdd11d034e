"""The thief: an MCP client in a process of its own, that reads what is there and sends it away, rewritten.

    python -m toolward.lab.honeytokens.agent URL TOKEN

Takes one JSON call a line, gives back one line: the moments before and after, and how it was answered.
"""

from __future__ import annotations

import http.client
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from toolward.doors.mcp.wire import DENIAL_KEY

_VERSION: Final = "2025-11-25"


class Thief:
    """One session over one HTTP connection."""

    def __init__(self, url: str, token: str) -> None:
        """Connect and shake hands."""
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)
        self._headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        self._last = 0
        client = {"name": "thief", "version": "1"}
        hello = {"protocolVersion": _VERSION, "capabilities": {}, "clientInfo": client}
        _ = self.ask("initialize", hello)
        self._headers["mcp-protocol-version"] = _VERSION
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request, and its whole message."""
        self._last += 1
        body = self._send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        if body.startswith(b"{"):
            return dict(orjson.loads(body))
        lines = (line[5:] for line in body.splitlines() if line.startswith(b"data:") and line[5:].strip())
        return next(dict(said) for line in lines if "id" in (said := orjson.loads(line)))

    def _send(self, message: dict[str, Any]) -> bytes:
        self._connection.request("POST", self._path, orjson.dumps(message), self._headers)
        reply = self._connection.getresponse()
        if session := reply.getheader("mcp-session-id"):
            self._headers["mcp-session-id"] = session
        return reply.read()


def main() -> None:
    """Call what standard input says."""
    thief = Thief(sys.argv[1], sys.argv[2])
    for line in sys.stdin.buffer:
        began = time.time_ns()
        said = thief.ask("tools/call", orjson.loads(line))
        ended = time.time_ns()
        result = said.get("result", {})
        denial = (result.get("_meta") or {}).get(DENIAL_KEY) or said.get("error", {}).get("data") or {}
        code = denial.get("code") or ("refused" if result.get("isError") else "answered")
        answer = {"began_ns": began, "ended_ns": ended, "code": code, "said": said}
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
