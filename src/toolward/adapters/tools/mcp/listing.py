"""The whole list of a server's tools, page by page and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.adapters.tools.mcp.bounds import PAGES_MAX, TOOLS_MAX
from toolward.adapters.tools.mcp.link import Link
from toolward.errors import ReasonCode, ToolFailed


async def all_tools(link: Link) -> list[Mapping[str, Any]]:
    """Every page of `tools/list`, definitions as they were sent. Raises `Ended`, `ToolFailed`."""
    tools: list[Mapping[str, Any]] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(PAGES_MAX):
        result = await link.ask("tools/list", {} if cursor is None else {"cursor": cursor})
        page = result.get("tools")
        if not isinstance(page, list) or not all(
            isinstance(tool, dict) and isinstance(tool.get("name"), str) for tool in page
        ):
            raise ToolFailed("the server's list of tools is malformed", code=ReasonCode.BAD_OUTPUT)
        tools.extend(page)
        cursor = result.get("nextCursor")
        if len(tools) > TOOLS_MAX or not isinstance(cursor, str) or not cursor or cursor in seen:
            break
        seen.add(cursor)
    if len(tools) > TOOLS_MAX:
        raise ToolFailed(f"the server lists more than {TOOLS_MAX} tools", code=ReasonCode.OUTPUT_TOO_LARGE)
    return tools
