"""Pointing a client's configuration at the gateway: the new text, computed without touching a file.

Only the members that change are edited, in place: everything else, comments included, stays to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from toolward.config.clients.jsonc import JsoncError, parse, with_member, without_member
from toolward.errors import WardError

ENTRY: Final = "toolward"
"""The name under which clients know the gateway."""
KEY_VARIABLE: Final = "TOOLWARD_KEY"
"""The environment variable that holds an agent's key; the key itself never stands in a client's file."""
_VS_CODE_INPUT: Final = "toolward-key"


class Client(StrEnum):
    """Clients whose configuration is known."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VS_CODE = "vscode"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEntry:
    """How a client reaches the gateway: a `command` over stdio, or a `url`, with a key for agents."""

    command: tuple[str, ...] = ()
    url: str = ""


def plan_connect(
    text: str, *, client: Client, entry: GatewayEntry, replaces: Sequence[str] = (), file: str = ""
) -> str:
    """The client's file with the gateway in it and without the servers that `replaces` names.

    Those are the servers that the gateway now stands before; left in, the agent could go around it. The same
    text comes back when nothing has to change. Raises `WardError` if the file is not what a client writes.
    """
    section = _section(client)
    try:
        for name in replaces:
            if name != ENTRY:
                text = without_member(text, (section,), name)
        wanted = entry_json(client, entry)
        if _now(text, section) != wanted:
            text = with_member(text, (section,), ENTRY, wanted)
        if client is Client.VS_CODE and entry.url:
            text = _with_input(text)
    except JsoncError as error:
        raise WardError(
            f"not the configuration of an mcp client: {error.text}",
            file=file,
            line=error.line,
            remedy="mend the file, or move it away and connect again",
        ) from error
    return text


def entry_json(client: Client, entry: GatewayEntry) -> dict[str, Any]:
    """What stands under `toolward` in that client's file. Raises `WardError` if it can not be reached so."""
    if entry.command:
        program, *arguments = entry.command
        out: dict[str, Any] = {"command": program, "args": arguments}
        return {"type": "stdio", **out} if client in (Client.VS_CODE, Client.CLAUDE_CODE) else out
    if client is Client.CLAUDE_DESKTOP:
        raise WardError(
            "claude desktop starts local servers only", remedy="connect it over stdio: leave out the url"
        )
    reference = {
        Client.CLAUDE_CODE: "${" + KEY_VARIABLE + "}",
        Client.CURSOR: "${env:" + KEY_VARIABLE + "}",
        Client.VS_CODE: "${input:" + _VS_CODE_INPUT + "}",
    }[client]
    out = {"url": entry.url, "headers": {"Authorization": f"Bearer {reference}"}}
    return out if client is Client.CURSOR else {"type": "http", **out}


def declared(text: str, client: Client) -> tuple[str, ...]:
    """The servers that a client's file names, in order."""
    if not text.strip("\ufeff \t\r\n"):
        return ()
    section = parse(text).get(_section(client))
    return tuple(member.key for member in (section.members or ())) if section is not None else ()


def _section(client: Client) -> str:
    return "servers" if client is Client.VS_CODE else "mcpServers"


def _now(text: str, section: str) -> Any:
    """What stands under `toolward` now, or None."""
    if not text.strip("\ufeff \t\r\n"):
        return None
    below = parse(text).get(section)
    found = below.get(ENTRY) if below is not None else None
    return found.plain() if found is not None else None


def _with_input(text: str) -> str:
    """VS Code asks for the key once and keeps it itself."""
    wanted = {"type": "promptString", "id": _VS_CODE_INPUT, "description": "toolward key", "password": True}
    found = parse(text).get("inputs")
    inputs = found.plain() if found is not None else []
    if not isinstance(inputs, list) or wanted in inputs:
        return text
    if (
        found is not None and found.items
    ):  # written before the first, so that its comments stay where they are
        at = found.items[0].start
        return text[:at] + json.dumps(wanted) + ", " + text[at:]
    return with_member(text, (), "inputs", [wanted])
