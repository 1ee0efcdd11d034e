"""Found servers as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.model.found import FoundRow, FoundServer, FoundState
from toolward.rules.canonical import canonical


def row_to_json(row: FoundRow) -> bytes:
    """Canonical bytes for the store."""
    return canonical(
        {
            "server": row.server.as_json(),
            "state": row.state.value,
            "by": row.by,
            "since_ns": str(row.since_ns),
            "candidate": row.candidate.as_json() if row.candidate else None,
        }
    )


def row_from_json(body: bytes) -> FoundRow:
    """The inverse of `row_to_json`."""
    value = orjson.loads(body)
    return FoundRow(
        server=_server(value["server"]),
        state=FoundState(value["state"]),
        by=value["by"],
        since_ns=int(value["since_ns"]),
        candidate=_server(value["candidate"]) if value["candidate"] else None,
    )


def _server(value: Mapping[str, Any]) -> FoundServer:
    lists = {name: tuple(value[name]) for name in ("command", "arguments")}
    return FoundServer(**{**value, **lists})
