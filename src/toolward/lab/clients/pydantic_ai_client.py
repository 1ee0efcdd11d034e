"""pydantic-ai with its `TestModel`, an agent without a language model: lists all tools and calls one.

stdin   {"url": …, "token": …, "tool": a tool that needs no arguments}
stdout  {"mcp": version of the SDK beneath, "tools": [name …], "text", "error"}
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from pydantic_ai import Agent  # type: ignore[import-not-found]
from pydantic_ai.mcp import MCPToolset  # type: ignore[import-not-found]
from pydantic_ai.models.test import TestModel  # type: ignore[import-not-found]


async def do(wanted: dict[str, Any]) -> dict[str, Any]:
    """One run of the agent. What goes wrong is the answer's `error`."""
    done: dict[str, Any] = {"mcp": version("mcp"), "tools": [], "text": "", "error": ""}
    try:
        toolset = MCPToolset(
            wanted["url"],
            headers={"authorization": f"Bearer {wanted['token']}"},
            tool_error_behavior="error",
        )
        model = TestModel(call_tools=[wanted["tool"]])
        agent = Agent(model, toolsets=[toolset])
        async with agent:
            result = await agent.run("use the tool")
        parameters = model.last_model_request_parameters
        done["tools"] = [tool.name for tool in parameters.function_tools]
        done["text"] = str(result.output)
    except Exception as error:  # noqa: BLE001 -- the outermost edge of a program that reports
        done["error"] = f"{type(error).__name__}: {error}"[:2000]
    return done


async def main() -> None:
    """One job."""
    json.dump(await do(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
