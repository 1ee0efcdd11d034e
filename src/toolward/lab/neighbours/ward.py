"""The ward that is measured: ten servers, seven of which behave, over stdio and over HTTP."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.bootstrap import open_house
from toolward.governance.desk import invoke
from toolward.lab.bench.client import Address
from toolward.lab.bench.processes import ITS_OWN_NOTES, child, free_port
from toolward.lab.neighbours.server import TOOL
from toolward.lab.running_ward import fresh_ward
from toolward.lab.toolchain import BUILD
from toolward.model.principal import CredentialKind, Principal

HOME: Final = BUILD / "neighbours"
MANNERS: Final = ("hangs", "floods", "flaps")
GOOD_STDIO: Final = tuple(f"good{number}" for number in range(1, 5))
GOOD_HTTP: Final = tuple(f"good{number}" for number in range(5, 8))
GOOD: Final = (*GOOD_STDIO, *GOOD_HTTP)
_HTTP_TOOL: Final = "echo_read"
_SERVER: Final = Path(__file__).with_name("server.py")
TIMEOUT_MS: Final = 2_000
"""Of the three: a call that hangs ends within the measurement, so that its caller goes on and calls again."""
_LABEL: Final = {"integrity": "trusted", "confidentiality": "internal"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A ward whose tools are approved; its good callers and the others have keys of their own."""

    path: Path
    good: str
    ill: str

    def address(self, port: int, server: str) -> Address:
        """How to call a server's tool at the daemon on `port`."""
        token = self.ill if server in MANNERS else self.good
        url = f"http://127.0.0.1:{port}/servers/{server}/mcp"
        tool = _HTTP_TOOL if server in GOOD_HTTP else TOOL
        return Address(url=url, tool=tool, headers={"authorization": f"Bearer {token}"})


BESIDE: Final = " beside"
"""Behind the name of a server that misbehaves and is not one of the ward's: for the control."""


@contextlib.contextmanager
def http_servers(transport: str) -> Iterator[dict[str, int]]:
    """The ports of the servers that are reached over HTTP; with `transport` http, of the three too."""
    names = dict.fromkeys(GOOD_HTTP, "good") | {name + BESIDE: name for name in MANNERS}
    if transport == "http":
        names |= {name: name for name in MANNERS}
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        for name, manner in names.items():
            ports[name] = free_port()
            command: list[str | Path] = [sys.executable, _SERVER, manner, str(ports[name])]
            if manner == "good":
                command = [sys.executable, "-m", "uvicorn", "toolward.lab.bench.echo:app"]
                command += ["--port", str(ports[name]), "--log-level", "warning", "--no-access-log"]
                command += ["--lifespan", "off"]
            _ = stack.enter_context(child(name, command, port=ports[name]))
        yield ports


async def prepare(ports: dict[str, int], name: str) -> Prepared:
    """A fresh ward in `build/neighbours/NAME`, with every default of resilience."""
    servers: dict[str, Any] = {}
    for each in (*GOOD, *MANNERS):
        if each in ports:
            servers[each] = {"url": f"http://127.0.0.1:{ports[each]}/mcp"}
        else:
            manner = each if each in MANNERS else "good"
            servers[each] = {"command": sys.executable, "arguments": [str(_SERVER), manner]}
            servers[each] |= {} if each in MANNERS else {"stateless": True}
    agents = {"good": {"servers": list(GOOD)}, "ill": {"servers": list(MANNERS)}}
    path = fresh_ward(HOME / name, {"version": 1, "name": "neighbours", "servers": servers, "agents": agents})
    (path / "tools").mkdir()
    for each in servers:
        tool: dict[str, Any] = {"effect": "read_only", "egress": False, "result": _LABEL}
        tool |= {"timeout_ms": TIMEOUT_MS} if each in MANNERS else {}
        named = _HTTP_TOOL if each in GOOD_HTTP else TOOL
        manifest = {"server": each, "owner": "lab", "tools": {named: tool}}
        (path / "tools" / f"{each}.yaml").write_bytes(orjson.dumps(manifest))
    by = Principal(user="lab", agent="lab", credential="lab", kind=CredentialKind.PERSON)
    async with open_house(path) as house:
        await invoke(house.desk, "refresh", {}, by)
        rows = await invoke(house.desk, "tools.list", {}, by)
        wanted = [{"tool": row["tool"], "digest": row["digest"]} for row in rows]
        await invoke(house.desk, "tools.approve", {"tools": wanted, "note": "lab"}, by)
        keys = [
            await invoke(house.desk, "keys.create", {"agent": agent, "user": "lab"}, by) for agent in agents
        ]
    return Prepared(path, *(str(key["token"]) for key in keys))


@contextlib.contextmanager
def daemon(ward: Prepared) -> Iterator[tuple[int, int]]:
    """`toolward up` in a process of its own; yields its id and its port."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "toolward", "up", ward.path, "--port", str(port)]
    with child("toolward", command, port=port, env=ITS_OWN_NOTES) as pid:
        yield pid, port
