"""The upstream of the measurements: an MCP server of both eras as cheap as Python can make one.

Started as `uvicorn toolward.lab.bench.echo:app`. The two tools are one program under two names, so that
the ward can call one of them a reversible write and the other a read.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from toolward.doors.mcp.wire import STATELESS_VERSIONS, Receive, Scope, Send

_INFO: Final = {"name": "echo", "version": "1"}
_CAPABILITIES: Final[dict[str, Any]] = {"tools": {}}
_SCHEMA: Final = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS: Final = ("echo_write", "echo_read")
_JSON: Final = (b"content-type", b"application/json")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """One HTTP request."""
    body = b""
    more = True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    status, answer = (200, b"") if scope["method"] == "DELETE" else (405, b"")
    if scope["method"] == "POST":
        status, answer = _answer(orjson.loads(body))
    length = (b"content-length", b"%d" % len(answer))
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length]})
    await send({"type": "http.response.body", "body": answer})


def _answer(message: dict[str, Any]) -> tuple[int, bytes]:
    request_id = message.get("id")
    if request_id is None:
        return 202, b""
    params = message.get("params") or {}
    result = _result(message["method"], params)
    if result is None:
        error = {"code": -32601, "message": "there is no such method"}
        return 404, orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": error})
    return 200, orjson.dumps({"jsonrpc": "2.0", "id": request_id, "result": result})


def _result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "tools/call":
        text = params["arguments"]["text"]
        return {"content": [{"type": "text", "text": text}], "isError": False, "resultType": "complete"}
    if method == "initialize":
        version = min(str(params.get("protocolVersion")), "2025-11-25")
        return {"protocolVersion": version, "capabilities": _CAPABILITIES, "serverInfo": _INFO}
    if method == "server/discover":
        return {
            "supportedVersions": list(STATELESS_VERSIONS),
            "capabilities": _CAPABILITIES,
            "resultType": "complete",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": _INFO},
        }
    if method == "tools/list":
        tools = [
            {"name": name, "description": "Gives the text back.", "inputSchema": _SCHEMA} for name in TOOLS
        ]
        return {"tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return {"resultType": "complete"} if method == "ping" else None
