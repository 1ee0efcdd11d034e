"""A stdio server in the standard library alone: `vault` and `notes FILE` tell it, `sink LEDGER` takes all.

The sink writes down what it received, whatever it answers: that is what left.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TEXT = {"type": "string"}
VAULT = [{"name": "tell", "description": "Tell what is kept.", "inputSchema": {"type": "object"}}]
NOTES = [{"name": "look", "description": "Look at the notes.", "inputSchema": {"type": "object"}}]
SINK = [
    {
        "name": "send",
        "description": "Send a text to an address.",
        "inputSchema": {"type": "object", "properties": {"to": TEXT, "text": TEXT}, "required": ["to"]},
    },
    {
        "name": "search",
        "description": "Search the web.",
        "inputSchema": {"type": "object", "properties": {"query": {}, "more": {"type": "object"}}},
    },
]


def answer(role: str, path: Path, message: dict[str, Any]) -> dict[str, Any] | None:
    """The result of one request; None where there is none of that name."""
    method, params = message.get("method"), message.get("params") or {}
    if method == "initialize":
        info = {"name": role, "version": "1"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": {"vault": VAULT, "notes": NOTES, "sink": SINK}[role]}
    if method == "tools/call":
        if role != "sink":
            return {"content": [{"type": "text", "text": path.read_text("utf-8")}]}
        with path.open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(params.get("arguments")) + "\n")
        return {"content": [{"type": "text", "text": "taken"}]}
    return {} if method == "ping" else None


def main() -> None:
    """Serve until the other side closes."""
    role, path = sys.argv[1], Path(sys.argv[2])
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request or "method" not in request:
            continue
        result = answer(role, path, request)
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        found = (
            {"error": {"code": -32601, "message": "no such method"}} if result is None else {"result": result}
        )
        sys.stdout.write(json.dumps({**reply, **found}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
