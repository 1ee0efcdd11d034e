"""A registry that is a real process, read through the egress control, and a found server that is called."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import OPERATOR

from toolward.adapters.discovery import fetching
from toolward.bootstrap import House, open_house
from toolward.doors.python import OpenWard
from toolward.errors import Denied, ToolFailed, WardError
from toolward.governance.desk import invoke

SERVERS = Path(__file__).parents[1] / "servers"
Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server that prints its port."""
    children: list[subprocess.Popen[bytes]] = []

    def started(name: str, *arguments: str) -> int:
        command = [sys.executable, str(SERVERS / name), *arguments]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        children.append(child)
        assert child.stdout is not None
        return int(child.stdout.readline())

    yield started
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def ward_of(folder: Path, source: str) -> Path:
    ward = folder / "ward"
    ward.mkdir(exist_ok=True)
    text = f"version: 1\nname: found\ndiscovery:\n  face: both\n  sources:\n    reg: {{{source}}}\n"
    (ward / "toolward.yaml").write_text(text)
    return ward


def registry(port: int, more: str = "") -> str:
    return f"registry: 'http://127.0.0.1:{port}/base', private_network: true{more}"


async def listed(house: House) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in await invoke(house.desk, "discovery.list", {}, OPERATOR)}


async def records(house: House, kind: str) -> list[dict[str, Any]]:
    return [orjson.loads(each.body) for each in house.store.find(kind=kind)]


async def test_from_a_registry_to_a_call_on_the_open_path(tmp_path: Path, start: Start) -> None:
    port = start("registry_server.py", "good", str(start("plain_server.py", "http")))
    async with open_house(ward_of(tmp_path, registry(port))) as house:
        [read] = await invoke(house.desk, "discovery.look", {}, OPERATOR)
        assert read["servers"] == 4
        refused = {each["name"]: each["why"] for each in read["refused"]}
        assert refused["ORG.example/PLAIN"] == "its name was listed before"  # the squatter
        assert refused[""]  # what is no object has no name
        assert "bad name ?" in refused
        rows = await listed(house)
        assert set(rows) == {
            "org.example/plain",
            "org.example/packed",
            "org.example/keyed",
            "org.example/flat",
        }
        assert rows["org.example/packed"]["way"] == "npm:@scope/packed@1.2.3"
        assert "`KEY`" in rows["org.example/keyed"]["unfit"]
        judged = await records(house, "egress.judged")
        assert {(each["server"], each["verdict"]) for each in judged} == {("source:reg", "allowed")}
        key = rows["org.example/plain"]["server"]
        admitted = await invoke(house.desk, "discovery.admit", {"server": key}, OPERATOR)
        assert admitted["unreachable"] == ""
        assert admitted["tools"] > 0
        async with OpenWard(house).session(user="ana", agent="a") as session:
            found = await session.call("toolward__search_tools", query="echo")
            names = [each["name"] for each in found.structured["tools"]]
            assert f"{key}__echo" in names
            with pytest.raises(Denied, match="ceiling"):  # nobody says that it only reads
                await session.call("toolward__call_tool", tool=f"{key}__echo", arguments={"text": "hi"})


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("html", "not json"),
        ("odd", "no list of servers"),
        ("huge", "more than 4194304 bytes"),
        ("redirect", "http 302"),
        ("dribble", "in time"),
    ],
)
async def test_a_registry_that_answers_garbage_is_refused_and_recorded(
    tmp_path: Path, start: Start, mode: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_S", 3.0)
    port = start("registry_server.py", mode)
    async with open_house(ward_of(tmp_path, registry(port))) as house:
        with pytest.raises(ToolFailed, match=said):
            await invoke(house.desk, "discovery.look", {"source": "reg"}, OPERATOR)
        [record] = await records(house, "source.read")
        assert said in record["why"]
        assert await listed(house) == {}


async def test_a_million_servers_end_at_the_bound_and_a_circle_at_its_second_turn(
    tmp_path: Path, start: Start
) -> None:
    port = start("registry_server.py", "million")
    async with open_house(ward_of(tmp_path, registry(port, ", servers_max: 30"))) as house:
        async with asyncio.timeout(30):
            [read] = await invoke(house.desk, "discovery.look", {}, OPERATOR)
        assert (read["servers"], read["left_out"]) == (30, 970)
    port = start("registry_server.py", "circle")
    async with open_house(ward_of(tmp_path / "..", registry(port)).parent / "ward") as house:
        async with asyncio.timeout(30):
            [read] = await invoke(house.desk, "discovery.look", {}, OPERATOR)
        assert "circle" in read["refused"][-1]["why"]


async def test_a_registry_in_the_operators_own_network_has_to_be_meant(tmp_path: Path, start: Start) -> None:
    port = start("registry_server.py", "good")
    with pytest.raises(WardError, match="own network"):
        async with open_house(ward_of(tmp_path, f"registry: 'http://127.0.0.1:{port}/base'")):
            pass


CONTAINED = """
import json, socket, sys, tempfile
def can(do):
    try:
        do()
    except OSError:
        return False
    return True
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    result = {}
    if request["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "probe", "version": "1"}}
    if request["method"] == "tools/list":
        result = {"tools": [{"name": "look", "inputSchema": {"type": "object"},
                             "annotations": {"readOnlyHint": True}}]}
    if request["method"] == "tools/call":
        found = {
            "reads the operator's file": can(lambda: open(FILE).read()),
            "writes beside it": can(lambda: open(FILE + ".new", "w")),
            "connects": can(lambda: socket.create_connection(("127.0.0.1", PORT), 1)),
            "has a scratch directory": can(lambda: tempfile.TemporaryFile().write(b"x")),
        }
        result = {"content": [{"type": "text", "text": json.dumps(found)}]}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
"""


@pytest.mark.parametrize("contained", [True, False], ids=["found", "control"])
async def test_a_server_from_a_directory_runs_with_a_scratch_directory_and_nothing_else(
    tmp_path: Path, start: Start, *, contained: bool
) -> None:
    """The control is the same program as a server of the ward's own, outside any cage."""
    port = start("registry_server.py", "good")
    place, secret = tmp_path / "descriptions", tmp_path / "operators" / "file"
    place.mkdir()
    secret.parent.mkdir()
    secret.write_text("mine")
    program = tmp_path / "program" / "probe.py"
    program.parent.mkdir()
    program.write_text(CONTAINED.replace("FILE", repr(str(secret))).replace("PORT", str(port)))
    entry = {"command": sys.executable, "args": [str(program)]}
    (place / "mcp.json").write_text(
        json.dumps({"mcpServers": {"probe": entry, "odd": {}, "env": {**entry, "env": {"A": "b"}}}})
    )
    (place / "broken.json").write_text("{")
    ward = ward_of(tmp_path, f"directory: {place}, admit: automatically")
    if not contained:
        config = ward / "toolward.yaml"
        config.write_text(
            config.read_text()
            + f"servers:\n  probe: {{command: {sys.executable}, arguments: [{program}], unsafe_no_sandbox: true}}\n"
        )
    async with open_house(ward) as house:
        [read] = await invoke(house.desk, "discovery.look", {}, OPERATOR)
        assert {each["name"] for each in read["refused"]} == {"broken.json", "odd"}
        rows = await listed(house)
        assert rows["env"]["unfit"]
        key = rows["probe"]["server"]
        if not contained:
            key = "probe"
            await house.parts.drift.refresh("probe")
            await house.parts.registry.approve("probe/look", by=OPERATOR, accept_findings=True)
            await house.desk.repin(OPERATOR)
        async with OpenWard(house).session(user="ana", agent="a") as session:
            could = json.loads((await session.call(f"{key}/look")).text)
        assert could == {
            "reads the operator's file": not contained,
            "writes beside it": not contained,
            "connects": not contained,
            "has a scratch directory": True,
        }
