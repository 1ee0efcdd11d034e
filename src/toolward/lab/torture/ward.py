"""The ward that is tortured: one witness, its three tools approved, one agent with a key."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from toolward.bootstrap.assembly import House
from toolward.bootstrap.people import this_user
from toolward.governance.desk import invoke
from toolward.lab.running_ward import fresh_ward
from toolward.lab.torture.witness import MANIFEST, SERVER
from toolward.model.principal import CredentialKind, Principal


def write_ward(path: Path, witness_port: int) -> Path:
    """The ward's files; its results are labelled trusted, so that no taint ever stops the load."""
    config = {
        "version": 1,
        "name": "torture",
        "profile": "guarded",
        "servers": {SERVER: {"url": f"http://127.0.0.1:{witness_port}/mcp", "stateless": True}},
    }
    fresh_ward(path, config)
    (path / "tools").mkdir()
    (path / "tools" / f"{SERVER}.yaml").write_bytes(orjson.dumps(MANIFEST, option=orjson.OPT_INDENT_2))
    return path


async def furnish(house: House) -> str:
    """Approve the witness's tools and make a key for the callers; returns the key."""
    await house.parts.drift.refresh(SERVER)
    rows = await _desk(house, "tools.list", {"server": SERVER})
    wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
    await _desk(house, "tools.approve", {"tools": wanted, "note": "torture"})
    made = await _desk(house, "keys.create", {"agent": "load", "user": "torture"})
    return str(made["token"])


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _desk(house: House, verb: str, parameters: Mapping[str, Any]) -> Any:
    by = Principal(user=this_user(), agent="lab", credential="lab", kind=CredentialKind.PERSON)
    return await invoke(house.desk, verb, parameters, by)
