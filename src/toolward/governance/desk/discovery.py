"""Found servers: what sources name, and letting it in or keeping it out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import ToolwardError
from toolward.governance.desk.context import Desk, Verb, text
from toolward.model.found import FoundRow, FoundServer
from toolward.model.principal import Principal
from toolward.model.tool import ToolState


async def list_found(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every found server. Parameters: `source`, `state` (both optional)."""
    del by
    source, state = text(parameters, "source", ""), text(parameters, "state", "")
    return [
        _row(desk, key, row)
        for key, row in desk.parts.discovery.rows()
        if (not source or row.server.source == source) and (not state or row.state.value == state)
    ]


async def look(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Read sources now: `source`, or all. What they name is noted; what they admit is put in force."""
    named = text(parameters, "source", "")
    rows: list[dict[str, Any]] = []
    for name in [named] if named else sorted(desk.parts.discovery.configured()):
        row: dict[str, Any] = {"source": name, "servers": 0, "refused": [], "left_out": 0, "error": ""}
        try:
            reading = await desk.parts.discovery.look(name)
        except ToolwardError as error:
            if named:
                raise
            row["error"] = error.diagnostics()
        else:
            row["servers"], row["left_out"] = len(reading.servers), reading.left_out
            row["refused"] = [{"name": what, "why": why} for what, why in reading.refused]
        rows.append(row)
    _ = await desk.take_found(by)
    return rows


async def admit(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Let a found server in as its source describes it now. Parameter: `server`, its id.

    `unreachable` says why its tools could not be looked at, "" where they were.
    """
    key = text(parameters, "server")
    row = await desk.parts.discovery.admit(key, by=by)
    unreachable = await desk.take_found(by)
    why = unreachable.get(key)
    return {**_row(desk, key, row), "unreachable": why.diagnostics() if why else ""}


async def reject(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Keep a found server out. Parameters: `server`, `why`."""
    key = text(parameters, "server")
    row = await desk.parts.discovery.reject(key, by=by, why=text(parameters, "why", ""))
    _ = await desk.take_found(by)
    return _row(desk, key, row)


def _row(desk: Desk, key: str, row: FoundRow) -> dict[str, Any]:
    tools = [pin for pin in desk.parts.registry.pins() if pin.server == key]
    return {
        "server": key,
        "source": row.server.source,
        "name": row.server.name,
        "version": row.server.version,
        "description": row.server.description,
        "state": row.state.value,
        "way": _way(row.server),
        "by": row.by,
        "unfit": desk.parts.discovery.unfit_of(row),
        "changed_to": _way(row.candidate) if row.candidate else "",
        "tools": sum(pin.state is ToolState.DISCOVERED for pin in tools),
    }


def _way(server: FoundServer) -> str:
    return server.url or server.package or " ".join((*server.command, *server.arguments))


VERBS = {
    "discovery.list": Verb(list_found, needs_person=False),
    "discovery.look": Verb(look),
    "discovery.admit": Verb(admit),
    "discovery.reject": Verb(reject),
}
