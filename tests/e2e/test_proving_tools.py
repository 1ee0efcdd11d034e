"""Tools that keep their word and tools that do not, tried on copies; nothing of the originals is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_world import Terminal, made, terminal  # noqa: F401 -- fixtures
from toolward.bootstrap.proving import Check, prove

pytestmark = pytest.mark.e2e

SOURCE = '''
import os

def honest(path: str, text: str) -> str:
    """Write a file."""
    with open(path, "w") as file:
        file.write(text)
    return "written"

def sneaky(path: str, text: str) -> str:
    """Write a file, and one more that nobody declared."""
    with open(os.path.join(os.path.dirname(path), "more"), "a") as file:
        file.write("more")
    return honest(path, text)

def add(path: str) -> str:
    """Add a line, and call that idempotent."""
    with open(path, "a") as file:
        file.write("line")
    return "added"

def peek(path: str) -> str:
    """Read a file, and note that it was read."""
    with open(path, "a") as file:
        file.write("!")
    return "read"

def make(path: str) -> str:
    """Make a file."""
    return honest(path, "made")

def unmake(path: str) -> str:
    """Remove it, if it is there."""
    if os.path.exists(path):
        os.unlink(path)
    return "gone"

def unmake_badly(path: str) -> str:
    """Remove it, or leave a note that it was not there."""
    if os.path.exists(path):
        os.unlink(path)
    else:
        honest(path + ".gone", "was not there")
    return "gone"
'''
UNDO = 'undo: {snapshot: {paths: ["{arg:path}"]}, compensate: {restore: true}}'


def ward(folder: Path) -> Path:
    root = folder / "root"
    root.mkdir()
    (root / "file").write_text("old")
    (folder / "ward" / "tools").mkdir(parents=True)
    (folder / "ward" / "mine.py").write_text(SOURCE)
    (folder / "ward" / "toolward.yaml").write_text(
        "version: 1\nname: w\nservers:\n  mine: {functions: mine.py}\n"
    )
    (folder / "ward" / "tools" / "mine.yaml").write_text(f"""\
server: mine
capabilities:
  write: [{{template: "{{dir:path}}", root: {root}}}]
tools:
  honest: {{effect: reversible, egress: false, {UNDO}}}
  sneaky: {{effect: reversible, egress: false, {UNDO}}}
  add: {{effect: idempotent_write, egress: false, {UNDO}}}
  peek: {{effect: read_only, egress: false}}
  make: {{effect: compensable, egress: false, undo: {{compensate: {{tool: unmake, arguments: {{path: /input/path}}}}}}}}
  make_badly: {{effect: compensable, egress: false}}
  unmake: {{effect: idempotent_write, egress: false}}
  unmake_badly: {{effect: idempotent_write, egress: false}}
""")
    return folder / "ward"


async def tried(place: Path, tool: str, **more: str) -> list[Check]:
    arguments = {"path": str(place.parent / "root" / "file"), **more}
    return await prove(place, f"mine/{tool}", [arguments], on_progress=lambda _: None)


async def test_an_honest_tool_keeps_its_word_and_the_original_is_not_touched(tmp_path: Path) -> None:
    place = ward(tmp_path)
    checks = await tried(place, "honest", text="new")
    assert [check.what for check in checks if not check.holds] == [], checks
    assert "done and undone, everything is as before" in [check.what for check in checks]
    assert (tmp_path / "root" / "file").read_text() == "old"
    assert not (place / ".toolward").exists()


@pytest.mark.parametrize(
    ("tool", "more", "broken"),
    [
        ("sneaky", {"text": "new"}, "done and undone, everything is as before"),
        ("add", {}, "done twice is the same as done once"),
        ("peek", {}, "it only reads: what lies in the roots is the same after it"),
    ],
)
async def test_a_tool_that_breaks_its_word_is_found_out(
    tmp_path: Path, tool: str, more: dict[str, str], broken: str
) -> None:
    checks = await tried(ward(tmp_path), tool, **more)
    assert broken in [check.what for check in checks if not check.holds], checks
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["file"]


@pytest.mark.parametrize(("undoer", "holds"), [("unmake", True), ("unmake_badly", False)])
async def test_undoing_twice_or_without_doing_must_change_nothing(
    tmp_path: Path, undoer: str, holds: bool
) -> None:
    place = ward(tmp_path)
    manifest = place / "tools" / "mine.yaml"
    manifest.write_text(manifest.read_text().replace("tool: unmake,", f"tool: {undoer},"))
    arguments = {"path": str(tmp_path / "root" / "new")}
    checks = await prove(place, "mine/make", [arguments], on_progress=lambda _: None)
    found = {check.what: check.holds for check in checks}
    assert found["it is undone"]
    assert found["undone again, nothing changes"] is holds, checks


def test_the_verdict_is_on_record_and_shown_with_the_tool(terminal: Terminal, tmp_path: Path) -> None:  # noqa: F811
    given = tmp_path / "args.json"
    given.write_text(json.dumps({"what": "around"}))
    proved = terminal.ok("tools", "prove", "tiny/look", "--args", str(given), "--json").json
    assert proved["holds"]
    shown = terminal.ok("tools", "show", "tiny/look", "--json").json
    assert shown["proved"]["holds"] is True
    assert terminal.run("tools", "prove", "tiny/break", "--json").code == 1
    assert terminal.ok("tools", "show", "tiny/break", "--json").json["proved"]["holds"] is False
