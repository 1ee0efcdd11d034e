"""The official Python SDK's `Client`: lists and calls at each URL.

stdin   {"mode": "auto" | "legacy" | "2026-07-28", "jobs": [{"url", "token", "tool", "arguments"}]}
stdout  [{"version", "tools": [name …], "text", "error"}], in the order of the jobs
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def do(job: dict[str, Any], *, mode: Any) -> dict[str, Any]:
    """One connection: list, and call if a tool is named. What goes wrong is the answer's `error`."""
    done: dict[str, Any] = {"version": "", "tools": [], "text": "", "error": ""}
    headers = {"authorization": f"Bearer {job['token']}"}
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(60.0)) as http,
            Client(streamable_http_client(job["url"], http_client=http), mode=mode) as client,
        ):
            done["version"] = str(client.protocol_version)
            done["tools"] = [tool.name for tool in (await client.list_tools()).tools]
            if job.get("tool"):
                result = await client.call_tool(job["tool"], job.get("arguments") or {})
                texts = [part.text for part in result.content if part.type == "text"]
                done["text"] = "\n".join(texts)
                done["error"] = done["text"] if result.is_error else ""
    except Exception as error:  # noqa: BLE001 -- the outermost edge of a program that reports
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        done["error"] = f"{type(error).__name__}: {error}"[:2000]
    return done


async def main() -> None:
    """Every job, one after the other."""
    wanted = json.load(sys.stdin)
    done = [await do(job, mode=wanted["mode"]) for job in wanted["jobs"]]
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
