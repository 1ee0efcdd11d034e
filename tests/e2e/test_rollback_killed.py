"""`kill -9` of the whole gateway somewhere in a session and its rollback, again and again; a ledger judges."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from harness import OPERATOR
from toolward.bootstrap import open_house
from toolward.model.rollback import UNDO_AGENT

pytestmark = pytest.mark.e2e
KILLS = ((1, 0), (2, 0), (3, 0), (3, 50), (4, 0), (4, 20), (5, 0), (5, 40), (6, 0))
"""After so many lines of the ledger (three orders are placed, then cancelled), and so many milliseconds."""

SOURCE = '''
import os

def write(path: str, text: str) -> str:
    """Write a file."""
    with open(path, "w") as file:
        file.write(text)
    return "written"

def place(root: str, order: str) -> str:
    """Place an order; the ledger says so first."""
    _note(root, "place " + order)
    with open(os.path.join(root, "order-" + order), "w") as file:
        file.write(order)
    return "placed"

def cancel(root: str, order: str) -> str:
    """Cancel it."""
    _note(root, "cancel " + order)
    os.unlink(os.path.join(root, "order-" + order))
    return "cancelled"

def has(root: str, order: str) -> dict[str, bool]:
    """Whether it is there."""
    return {"happened": os.path.exists(os.path.join(root, "order-" + order))}

def _note(root: str, what: str) -> None:
    fd = os.open(os.path.join(root, "ledger"), os.O_WRONLY | os.O_APPEND)
    os.write(fd, (what + "\\n").encode())
    os.close(fd)
'''
WORK = """
import asyncio, sys, toolward
async def main():
    async with toolward.open(sys.argv[1]) as ward:
        async with ward.session(user="ana", agent="scripted") as session:
            root = sys.argv[2]
            for number in ("1", "2", "3"):
                await session.call("mine/place", root=root, order=number)
                await session.call("mine/write", path=f"{root}/file", text=number)
            await session.rollback()
asyncio.run(main())
"""


def ward(folder: Path) -> tuple[Path, Path]:
    place, root = folder / "ward", folder / "root"
    (place / "tools").mkdir(parents=True)
    root.mkdir()
    (root / "file").write_text("old")
    (root / "ledger").touch()
    (place / "mine.py").write_text(SOURCE)
    (place / "toolward.yaml").write_text("version: 1\nname: w\nservers:\n  mine: {functions: mine.py}\n")
    (place / "tools" / "mine.yaml").write_text(f"""\
server: mine
capabilities: {{write: [{root}]}}
tools:
  write:
    effect: reversible
    egress: false
    result: {{integrity: trusted}}
    undo: {{snapshot: {{paths: ["{{arg:path}}"]}}, compensate: {{restore: true}}}}
  place:
    effect: compensable
    egress: false
    result: {{integrity: trusted}}
    undo:
      compensate: {{tool: cancel, arguments: {{root: /input/root, order: /input/order}}}}
      probe: {{tool: has, arguments: {{root: /input/root, order: /input/order}}}}
      resources: ["order:{{arg:order}}"]
  cancel: {{effect: irreversible, egress: false}}
  has: {{effect: read_only, egress: false}}
""")
    return place, root


async def approve(place: Path) -> None:
    async with open_house(place) as house:
        await house.parts.drift.refresh("mine")
        for pin in list(house.parts.registry.pins()):
            await house.parts.registry.approve(pin.key, by=OPERATOR)


async def bring_to_an_end(place: Path) -> list[str]:
    """Start again, let what was cut off go on, and roll back what was not; how each session ended."""
    async with open_house(place) as house:
        await house.background.drain()
        known = {row["session_id"]: str(row["state"]) for row in house.rollbacks.rows()}
        for record in house.store.find(kind="session.opened"):
            session_id = str(orjson.loads(record.body)["session_id"])
            session = house.parts.sessions.current(session_id)
            if session is not None and session.principal.agent != UNDO_AGENT and session_id not in known:
                row = await house.rollbacks.run(session_id, by=OPERATOR)
                known[session_id] = str(row["state"])
        return sorted(known.values())


async def test_whenever_it_is_killed_each_order_was_placed_and_cancelled_at_most_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    reached: Counter[str] = Counter()
    for number, (lines, delay_ms) in enumerate(KILLS):
        place, root = ward(tmp_path / str(number))
        await approve(place)
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", WORK, str(place), str(root))
        while child.returncode is None and (root / "ledger").read_text().count("\n") < lines:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        await asyncio.sleep(delay_ms / 1000)
        if child.returncode is None:
            child.kill()
        await child.wait()
        cut = Counter((root / "ledger").read_text().splitlines())
        reached["in the rollback" if any(what.startswith("cancel") for what in cut) else "before"] += 1
        states = await bring_to_an_end(place)
        ledger = Counter((root / "ledger").read_text().splitlines())
        found += [f"{number}: {what} {times} times" for what, times in ledger.items() if times > 1]
        left = sorted(path.name for path in root.iterdir())
        if left != ["file", "ledger"] or (root / "file").read_text() != "old":
            found.append(f"{number}: left {left}, {(root / 'file').read_text()}, {states}")
        if any(state != "COMPENSATED" for state in states):
            found.append(f"{number}: {states}")
    with capsys.disabled():
        sys.stdout.write(f"\nrollback: {len(KILLS)} kills, {dict(reached)}, {len(found)} violations\n")
    assert found == []
    assert reached["in the rollback"] > 2
