"""A server that echoes, and misbehaves in one way when it is asked to: a text that begins with `ill`.

Run as `python server.py MANNER` over stdio, or `python server.py MANNER PORT` over HTTP; MANNER is `good`,
`hangs`, `floods` or `flaps`. It runs in a cage that shows it nothing of us, so it imports nothing of us.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from typing_extensions import override

TOOL: Final = "echo"
_SCHEMA: Final = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
_LOG: Final = {
    "jsonrpc": "2.0",
    "method": "notifications/message",
    "params": {"level": "info", "data": "still at it " * 8},
}
_counter = itertools.count()
Say = Callable[[dict[str, Any]], None]


def answer(message: dict[str, Any], manner: str, say: Say, die: Callable[[], None]) -> dict[str, Any]:
    """The answer to a request; `say` sends something before it, `die` ends without one."""
    method, params = message["method"], message.get("params") or {}
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        info = {"name": manner, "version": "1"}
        version = min(str(params.get("protocolVersion")), "2025-11-25")
        return reply | {
            "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        }
    if method == "tools/list":
        tool = {"name": TOOL, "description": "Gives the text back.", "inputSchema": _SCHEMA}
        return reply | {"result": {"tools": [tool]}}
    if method == "ping":
        return reply | {"result": {}}
    if method != "tools/call":
        return reply | {"error": {"code": -32601, "message": "there is no such method"}}
    text = str(params["arguments"]["text"])
    if text.startswith("ill"):
        _misbehave(manner, say, die)
    return reply | {"result": {"content": [{"type": "text", "text": text}], "isError": False}}


def _misbehave(manner: str, say: Say, die: Callable[[], None]) -> None:
    while manner == "hangs":
        time.sleep(1)
    while manner == "floods":
        say(_LOG)
    if manner == "flaps" and next(_counter) % 2:
        die()


def serve_stdio(manner: str) -> None:
    """One message a line."""

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            say(answer(message, manner, say, lambda: os._exit(1)))


class Handler(BaseHTTPRequestHandler):
    """Each request is answered by itself; a flood is an event stream."""

    protocol_version = "HTTP/1.1"
    manner = ""

    def do_POST(self) -> None:
        """One message."""
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" not in message:
            self._send(202)
            return
        try:
            if self.manner == "floods" and '"ill' in json.dumps(message):
                self._head(200, {"content-type": "text/event-stream", "connection": "close"})
            body = json.dumps(answer(message, self.manner, self._say, _abort)).encode()
            self._send(200, body)
        except ConnectionAbortedError:
            self._send(500)
        except OSError:
            self.close_connection = True  # nobody listens any more

    def do_GET(self) -> None:
        """There is no stream of the session's own."""
        self._send(405)

    def do_DELETE(self) -> None:
        """A session ends."""
        self._send(200)

    def _say(self, part: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(part).encode() + b"\n\n")

    def _send(self, status: int, body: bytes = b"") -> None:
        self._head(status, {"content-type": "application/json", "content-length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, lines: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written down."""


def _abort() -> None:
    raise ConnectionAbortedError


def main(manner: str, port: str = "") -> None:
    """Serve until it is ended."""
    if port:
        Handler.manner = manner
        ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
    else:
        serve_stdio(manner)


if __name__ == "__main__":
    main(*sys.argv[1:])
