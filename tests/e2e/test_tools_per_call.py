"""A ward with functions and commands, through the whole corridor, in real cages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import OPERATOR, write_ward
from tests.wasm_modules import ECHO

import toolward
from toolward.bootstrap import House, open_house
from toolward.doors.python import OpenWard
from toolward.errors import BadArguments, Denied, SandboxUnavailable, ToolFailed, UnknownTool
from toolward.governance.desk import invoke
from toolward.model.tool import ToolState

pytestmark = pytest.mark.e2e

WARD = """\
version: 1
name: percall
servers:
  reports:
    functions: functions/reports.py
    roots: [{root}]
  text:
    commands:
      count:
        description: Count bytes.
        arguments: {{path: {{}}}}
        argv: [/usr/bin/wc, -c, --, "{{path}}"]
"""
REPORTS = """\
server: reports
min_scope: call
tools:
  write:
    effect: reversible
    egress: false
    arguments: {{path: {{kind: path}}, text: {{role: content}}}}
    capabilities:
      write: [{{template: "{{dir:path}}", root: {root}}}]
  peek: {{effect: read_only, egress: false}}
"""
TEXT = """\
server: text
tools:
  count:
    effect: read_only
    egress: false
    capabilities:
      read: [{{template: "{{arg:path}}", root: {root}}}]
"""
SOURCE = '''\
def write(path: str, text: str) -> dict[str, int]:
    """Write a report."""
    with open(path, "w") as file:
        return {"characters": file.write(text)}

def peek(path: str) -> str:
    """Read what it can."""
    return open(path).read()
'''


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "ward").mkdir()
    files = {"toolward.yaml": WARD, "tools/reports.yaml": REPORTS, "tools/text.yaml": TEXT}
    folder = write_ward(
        tmp_path / "ward",
        {**{name: text.format(root=root) for name, text in files.items()}, "functions/reports.py": SOURCE},
    )
    for name in ("files", "mail"):
        (folder / "tools" / f"{name}.yaml").unlink()
    return folder


async def approve(ward: Path) -> dict[str, ToolState]:
    """Look at the servers whose tools need a cage of processes."""
    return await look(ward, "reports", "text")


async def look(ward: Path, *servers: str) -> dict[str, ToolState]:
    """Look at servers, approve what is new; the states as they were found."""
    async with open_house(ward) as house:
        try:
            await house.parts.upstreams.isolation(servers[0])
        except SandboxUnavailable as error:
            pytest.skip(error.reason.text)
        for server in servers:
            await house.parts.drift.refresh(server)
        found = {pin.key: pin.state for pin in house.parts.registry.pins()}
        for key, state in found.items():
            if state is ToolState.PROPOSED:
                await house.parts.registry.approve(key, by=OPERATOR)
        await house.desk.reload(OPERATOR)
        return found


async def records(ward: Path, call_id: str) -> list[dict[str, Any]]:
    async with open_house(ward) as house:
        return [orjson.loads(each.body) for each in house.store.find(call_id=call_id)]


async def test_each_call_has_a_cage_of_its_own_and_that_is_on_record(ward: Path) -> None:
    await approve(ward)
    data = ward.parent / "data"
    prompt = f"write hello to {data / 'a'} and count it"
    async with toolward.open(ward) as opened, opened.session(user="ana", agent="a", prompt=prompt) as session:
        listed = [each["name"] for each in await session.list_tools()]
        assert listed == ["reports__peek", "reports__write", "text__count"]
        written = await session.call("reports/write", path=str(data / "a"), text="hello")
        assert written.structured == {"characters": 5}
        assert (written.receipt["scope"], written.receipt["isolation"]) == ("call", "namespaces")
        assert (await session.call("text/count", path=str(data / "a"))).text == f"5 {data / 'a'}\n"
        peeked = await session.call("reports/peek", path=str(data / "a"))
        assert peeked.is_error
        assert peeked.text.startswith("FileNotFoundError")
        with pytest.raises(Denied, match="is outside"):
            await session.call("text/count", path=str(ward / "toolward.yaml"))
        with pytest.raises(BadArguments):
            await session.call("reports/write", path=str(data / "a"))
    intents = [each for each in await records(ward, written.call_id) if "isolation" in each]
    assert [(each["isolation"], each["scope"]) for each in intents] == [("namespaces", "call")]


async def test_an_edited_source_or_command_is_quarantined_until_a_person_agrees(ward: Path) -> None:
    assert set((await approve(ward)).values()) == {ToolState.PROPOSED}
    assert set((await approve(ward)).values()) == {ToolState.APPROVED}
    source = ward / "functions" / "reports.py"
    source.write_text(SOURCE.replace("open(path).read()", "open(path).read() * 2"))
    assert await approve(ward) == {
        "reports/write": ToolState.QUARANTINED,
        "reports/peek": ToolState.QUARANTINED,
        "text/count": ToolState.APPROVED,
    }
    async with toolward.open(ward) as opened, opened.session(user="ana", agent="a") as session:
        with pytest.raises(Denied, match="quarantined"):
            await session.call("reports/peek", path="/x")
    config = ward / "toolward.yaml"
    config.write_text(config.read_text().replace("-c", "-l"))
    assert (await approve(ward))["text/count"] is ToolState.QUARANTINED


async def test_the_source_is_part_of_the_revision(ward: Path) -> None:
    async with open_house(ward) as house:
        assert "functions/reports.py" in house.ward.files
        before = house.revision.digest
    (ward / "functions" / "reports.py").write_text(SOURCE + "# a comment\n")
    async with open_house(ward) as house:
        assert house.revision.digest != before


MODULES = """\
version: 1
name: modules
servers:
  echo:
    modules:
      say:
        description: Give back what it was told.
        file: modules/echo.wat
        arguments: {text: {}}
"""


async def test_a_module_walks_the_corridor_and_a_changed_file_is_quarantined(tmp_path: Path) -> None:
    pytest.importorskip("wasmtime", reason="needs `pip install 'toolward[wasm]'`")
    files = {"toolward.yaml": MODULES, "modules/echo.wat": ECHO.decode()}
    files["tools/echo.yaml"] = (
        "server: echo\nmin_isolation: wasm\ntools:\n  say: {effect: read_only, egress: false}\n"
    )
    folder = write_ward(tmp_path, files)
    for name in ("files", "mail"):
        (folder / "tools" / f"{name}.yaml").unlink()
    assert await look(folder, "echo") == {"echo/say": ToolState.PROPOSED}
    async with toolward.open(folder) as opened, opened.session(user="ana", agent="a") as session:
        said = await session.call("echo/say", text="hello")
        assert said.structured == {"text": "hello"}
        assert (said.receipt["scope"], said.receipt["isolation"]) == ("call", "wasm")
        with pytest.raises(BadArguments):
            await session.call("echo/say", text=1)
    assert await look(folder, "echo") == {"echo/say": ToolState.APPROVED}
    (folder / "modules" / "echo.wat").write_bytes(ECHO + b"\n")
    assert await look(folder, "echo") == {"echo/say": ToolState.QUARANTINED}
    async with toolward.open(folder) as opened, opened.session(user="ana", agent="a") as session:
        with pytest.raises(Denied, match="quarantined"):
            await session.call("echo/say", text="hello")


# --- reload: the same while the gateway runs ---------------------------------------------------------


async def reloaded(house: House) -> list[str]:
    """Reload as a person does; the tools that are quarantined for it."""
    found: dict[str, Any] = await invoke(house.desk, "reload", {}, OPERATOR)
    return list(found["quarantined"])


async def test_reload_takes_a_changed_source_and_runs_it_once_a_person_agreed(ward: Path) -> None:
    await approve(ward)
    (ward.parent / "data" / "a").write_text("x")
    source = ward / "functions" / "reports.py"
    async with (
        open_house(ward) as house,
        OpenWard(house).session(user="ana", agent="a") as session,
    ):
        before = house.revision.digest
        assert (await session.call("reports/peek", path="/x")).text.startswith("FileNotFoundError")
        source.write_text(SOURCE.replace("return open(path).read()", 'return "another"'))
        assert await reloaded(house) == ["reports/peek", "reports/write"]
        assert house.revision.digest != before
        with pytest.raises(Denied, match="quarantined"):
            await session.call("reports/peek", path="/x")
        await house.parts.registry.approve("reports/peek", by=OPERATOR)
        await house.desk.repin(OPERATOR)
        assert (await session.call("reports/peek", path="/x")).text == "another"
        assert await reloaded(house) == []


async def test_reload_takes_a_changed_command_and_leaves_the_other_servers_tools_alone(ward: Path) -> None:
    await approve(ward)
    async with open_house(ward) as house:
        config = ward / "toolward.yaml"
        config.write_text(config.read_text().replace("-c", "-l"))
        assert await reloaded(house) == ["text/count"]
        states = {pin.key: pin.state for pin in house.parts.registry.pins()}
        assert states["reports/peek"] is ToolState.APPROVED


async def test_a_source_that_can_not_be_read_leaves_all_as_it_was(ward: Path) -> None:
    await approve(ward)
    async with (
        open_house(ward) as house,
        OpenWard(house).session(user="ana", agent="a") as session,
    ):
        before = house.revision.digest
        (ward / "functions" / "reports.py").write_text("raise RuntimeError('no')\n\ndef peek() -> str: ...\n")
        with pytest.raises(ToolFailed, match="can not be imported"):
            await reloaded(house)
        assert house.revision.digest == before
        assert (await session.call("reports/peek", path="/x")).text.startswith("FileNotFoundError")


async def test_a_server_that_runs_as_a_process_is_taken_changed_and_dropped_without_a_restart(
    ward: Path,
) -> None:
    await approve(ward)
    config, tiny = ward / "toolward.yaml", Path(__file__).parents[1] / "servers" / "tiny_server.py"
    as_it_was = config.read_text()

    def with_server(name: str) -> None:
        entry = f"  tiny:\n    command: {sys.executable}\n    arguments: [{tiny}, {name}]\n"
        config.write_text(as_it_was + entry)

    async with (
        open_house(ward) as house,
        OpenWard(house).session(user="ana", agent="a") as session,
    ):
        with_server("one")
        found = await invoke(house.desk, "reload", {}, OPERATOR)
        assert found["proposed"] == ["tiny/break", "tiny/look", "tiny/wait", "tiny/wipe"]
        with pytest.raises(Denied, match="not approved"):
            await session.call("tiny/look", what="it")
        await house.parts.registry.approve("tiny/look", by=OPERATOR)
        await house.desk.repin(OPERATOR)
        assert (await session.call("tiny/look", what="it")).text == "look it"
        with_server("two")  # another command line is another server, whatever it lists
        assert (await invoke(house.desk, "reload", {}, OPERATOR))["quarantined"] == ["tiny/look"]
        with pytest.raises(Denied, match="quarantined"):
            await session.call("tiny/look", what="it")
        config.write_text(as_it_was)
        assert await reloaded(house) == []
        with pytest.raises(UnknownTool):
            await session.call("tiny/look", what="it")
        with_server("two")
        assert await reloaded(house) == []
        with pytest.raises(Denied, match="quarantined"):  # to leave and come back lifts nothing
            await session.call("tiny/look", what="it")


async def test_a_server_that_can_not_be_reached_is_taken_and_named(ward: Path) -> None:
    await approve(ward)
    async with open_house(ward) as house:
        config, before = ward / "toolward.yaml", house.revision.digest
        config.write_text(config.read_text() + "  gone:\n    command: /no/such/program\n")
        found = await invoke(house.desk, "reload", {}, OPERATOR)
        assert list(found["unreachable"]) == ["gone"]
        assert "could not be described" in found["unreachable"]["gone"]
        assert house.revision.digest != before
