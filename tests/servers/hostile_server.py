"""A handshake-era stdio server whose tools each misbehave in one way. Needs nothing but Python."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TOOLS = ["ok", "dies", "hangs", "floods", "chatters", "twice", "foreign", "huge", "endless", "noise", "wrong_shape",
         "nan", "deaf", "asks"]  # fmt: skip


def say(message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def result(request_id: Any, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": {"content": [{"type": "text", "text": text}]}}


def raw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def call(request_id: Any, name: str) -> None:  # noqa: C901, PLR0912
    if name == "dies":
        os._exit(3)
    elif name == "hangs":
        while True:
            time.sleep(1)
    elif name == "floods":
        while True:
            raw("x" * 65536 + "\n")
    elif name == "chatters":
        while True:
            say({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a://b"}})
    elif name == "twice":
        say(result(request_id, "first"))
        say(result(request_id, "second"))
        return
    elif name == "foreign":
        for other in (request_id + 1, request_id - 1, str(request_id), float(request_id), None, True):
            say(result(other, "not yours"))
    elif name == "huge":
        say(result(request_id, "x" * 3_000_000))
        return
    elif name == "endless":
        while True:
            raw("x" * 65536)
    elif name == "noise":
        for number in range(50):
            raw(f"Banner line {number}\n\n")
    elif name == "wrong_shape":
        say({"jsonrpc": "2.0", "id": request_id, "result": ["no", "object"]})
        return
    elif name == "nan":
        raw('{"jsonrpc":"2.0","id":' + str(request_id) + ',"result":{"x":NaN}}\n')
        raw('{"jsonrpc":"2.0","id":' + str(request_id) + ',"result":{"x":"\\ud800"}}\n')
    elif name == "asks":
        say({"jsonrpc": "2.0", "id": "q1", "method": "sampling/createMessage", "params": {}})
        answer = json.loads(sys.stdin.readline())
        say(result(request_id, json.dumps(answer)))
        return
    say(result(request_id, "ok"))


def main() -> None:
    raw("welcome to the server\n")
    sys.stderr.write(f"token is {os.environ.get('TOKEN', '')}\n")
    sys.stderr.flush()
    for line in sys.stdin:
        message = json.loads(line)
        method, request_id = message.get("method"), message.get("id")
        if method == "server/discover" and "ignore-discover" in sys.argv:
            continue
        if method == "initialize":
            say({"jsonrpc": "2.0", "id": request_id, "result": {
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "hostile", "version": "0"}}})  # fmt: skip
        elif method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object", "$defs": {"a": {"$anchor": "b"}}}, "zz": 1.0}
                     for name in TOOLS]  # fmt: skip
            say({"jsonrpc": "2.0", "id": request_id, "result": {"tools": tools}})
        elif method == "tools/call":
            call(request_id, message["params"]["name"])
        elif request_id is not None and method:
            say({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32601, "message": "no"}})


main()
