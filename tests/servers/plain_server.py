"""A well-behaved server of both eras, made with the official SDK: `plain_server.py stdio|http`."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    TextContent,
)
from pydantic import BaseModel, Field

server = MCPServer("plain", version="1.2.3", instructions="be plain")
calls = itertools.count(1)


class Name(BaseModel):
    name: str


@server.tool()
def echo(text: str) -> str:
    """Give the text back."""
    return text


@server.tool()
def count() -> int:
    """Count the calls of this process."""
    return next(calls)


@server.tool()
def environment() -> list[str]:
    """Names and some values of the environment."""
    return [*sorted(os.environ), f"GIVEN={os.environ.get('GIVEN', '')}"]


@server.tool()
async def steps(ctx: Context) -> str:
    """Report progress twice."""
    await ctx.report_progress(1, 2, "one")
    await ctx.report_progress(2, 2, "two")
    return "done"


@server.tool()
async def slow(seconds: float) -> str:
    """Sleep."""
    await asyncio.sleep(seconds)
    return "slept"


@server.tool()
async def ask(ctx: Context) -> str:
    """Ask the user for a name."""
    answer = await ctx.elicit("who?", Name)
    return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}".strip()


@server.tool()
def where(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """An argument that is repeated in a header."""
    return region


@server.tool()
async def twice(ctx: Context) -> CallToolResult | InputRequiredResult:
    """Ask in the stateless era's way: the caller comes back with the answer."""
    answers = ctx.input_responses or {}
    if "name" not in answers:
        form = ElicitRequestFormParams(
            message="who?",
            requested_schema={"type": "object", "properties": {"name": {"type": "string"}}},
        )
        return InputRequiredResult(input_requests={"name": ElicitRequest(params=form)}, request_state="kept")
    return CallToolResult(content=[TextContent(text=f"answered {ctx.request_state}")])


@server.tool()
async def change(ctx: Context) -> str:
    """Say that the list of tools changed."""
    await ctx.notify_tools_changed()
    return "told"


@server.tool()
def big(size: int) -> str:
    """That many letters."""
    return "x" * size


@server.resource("note://one")
def note() -> str:
    """A note."""
    return "remember"


@server.prompt()
def greet(who: str) -> str:
    """A greeting."""
    return f"greet {who}"


def main() -> None:
    if sys.argv[1] == "stdio":
        server.run("stdio")
        return
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # who reads the port may connect at once, and waits
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    app = server.streamable_http_app(json_response="json" in sys.argv)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


main()
