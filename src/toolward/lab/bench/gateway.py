"""The ward that is measured, and the daemon that serves it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from toolward.bootstrap import open_house
from toolward.governance.desk import invoke
from toolward.lab.bench.client import HANDSHAKE, Address
from toolward.lab.bench.processes import HOME, ITS_OWN_NOTES, child, free_port
from toolward.lab.running_ward import fresh_ward
from toolward.model.principal import CredentialKind, Principal

SERVER: Final = "echo"
WRITE: Final = "echo_write"
READ: Final = "echo_read"
_TRUSTED: Final = {"integrity": "trusted", "confidentiality": "internal"}
"""What the upstream says is the operator's own here: else the second write would ask a person first."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A ward whose tools are approved, and a key for its agent."""

    path: Path
    token: str

    def address(self, port: int, tool: str, era: str = HANDSHAKE) -> Address:
        """How to call one of its tools at the daemon on `port`."""
        headers = {"authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{port}/servers/{SERVER}/mcp"
        return Address(url=url, tool=tool, era=era, headers=headers)


async def prepare(upstream: str, name: str = "ward") -> Prepared:
    """A fresh ward in `build/bench/NAME`, profile `guarded`, everything else as it is by default."""
    config = {
        "version": 1,
        "name": "bench",
        "servers": {SERVER: {"url": upstream}},
        "agents": {"load": {"servers": [SERVER]}},
    }
    path = fresh_ward(HOME / name, config)
    folder = path / "tools"
    folder.mkdir()
    (folder / f"{SERVER}.yaml").write_bytes(orjson.dumps(_manifests()))
    by = Principal(user="bench", agent="lab", credential="lab", kind=CredentialKind.PERSON)
    async with open_house(path) as house:
        await house.parts.drift.refresh(SERVER)
        rows = await invoke(house.desk, "tools.list", {"server": SERVER}, by)
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        await invoke(house.desk, "tools.approve", {"tools": wanted, "note": "bench"}, by)
        made = await invoke(house.desk, "keys.create", {"agent": "load", "user": "bench"}, by)
    return Prepared(path, str(made["token"]))


def _manifests() -> Mapping[str, Any]:
    text = {"text": {"role": "content"}}
    write = {"effect": "reversible", "egress": False, "arguments": text, "result": _TRUSTED}
    read = {"effect": "read_only", "egress": False, "arguments": text, "result": _TRUSTED}
    return {"server": SERVER, "owner": "bench", "tools": {WRITE: write, READ: read}}


@contextlib.contextmanager
def daemon(ward: Prepared) -> Iterator[tuple[int, int]]:
    """`toolward up` in a process of its own; yields its id and its port."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "toolward", "up", ward.path, "--port", str(port)]
    with child("toolward", command, port=port, env=ITS_OWN_NOTES) as pid:
        yield pid, port


@contextlib.contextmanager
def floor(upstream: str) -> Iterator[tuple[int, Address]]:
    """The least that a governed call can cost here (`lab.bench.floor`)."""
    port = free_port()
    log = HOME / "floor.db"
    for old in HOME.glob("floor.db*"):
        old.unlink()
    command = [sys.executable, "-m", "uvicorn", "toolward.lab.bench.floor:app", "--port", str(port)]
    quiet = ["--log-level", "warning", "--no-access-log", "--lifespan", "off", "--backlog", "1024"]
    env = {"FLOOR_UPSTREAM": urlsplit(upstream).netloc, "FLOOR_LOG": str(log)}
    with child("floor", [*command, *quiet], port=port, env=env) as pid:
        yield pid, Address(url=f"http://127.0.0.1:{port}/mcp", tool=WRITE)


@contextlib.contextmanager
def echo_server() -> Iterator[tuple[int, Address]]:
    """The upstream, which is also what a call costs without any gateway."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "toolward.lab.bench.echo:app", "--port", str(port)]
    quiet = ["--log-level", "warning", "--no-access-log", "--lifespan", "off", "--backlog", "1024"]
    with child("echo", [*command, *quiet], port=port) as pid:
        yield pid, Address(url=f"http://127.0.0.1:{port}/mcp", tool=WRITE)


def stateless(address: Address) -> Address:
    """The same in the 2026 era."""
    return replace(address, era="stateless")
