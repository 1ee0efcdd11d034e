"""A handshake-era stdio server that says more than anybody asked for. Needs nothing but Python.

`eager`: log messages without end during a call. `loud`: writes to stderr without end, beside which calls go on.
`shy`: answers the first call and no other, but every ping.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

LOCK = threading.Lock()


def say(message: Any) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def chatter() -> None:
    while True:
        say(
            {
                "jsonrpc": "2.0",
                "method": "notifications/message",
                "params": {"level": "info", "data": "x" * 40},
            }
        )


def shout() -> None:
    written = 0
    while True:
        written += sys.stderr.write("x" * 65_536)
        sys.stderr.flush()
        SAID[0] = written


SAID = [0]


def main() -> None:  # noqa: C901
    for line in sys.stdin:
        message = json.loads(line)
        method, request_id = message.get("method"), message.get("id")
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        if method == "initialize":
            say(reply | {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                    "serverInfo": {"name": "eager", "version": "0"}}})  # fmt: skip
        elif method == "tools/list":
            names = ("eager", "loud", "said", "shy", "ok")
            say(
                reply | {"result": {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in names]}}
            )
        elif method == "tools/call":
            name, text = message["params"]["name"], "ok"
            if name == "eager":
                chatter()
            elif name == "loud":
                threading.Thread(target=shout, daemon=True).start()
            elif name == "said":
                time.sleep(1)
                text = str(SAID[0])
            if name != "shy":
                say(reply | {"result": {"content": [{"type": "text", "text": text}]}})
        elif method == "ping":
            say(reply | {"result": {}})
        elif request_id is not None and method:
            say(reply | {"error": {"code": -32601, "message": "no"}})


main()
