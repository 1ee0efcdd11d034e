"""One ward, two paths, one piece of work: a return is filed, with the help of a tool that was found.

    python -m toolward.lab.paths work

Real servers: SQLite holds the books, and a server of time zones is found in a directory. The agent explores
with it on the open path; in the decision-critical step it is refused; two people promote it with the record
of its use, and then it is used there.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.bootstrap import open_house
from toolward.bootstrap.assembly import House
from toolward.doors.python import OpenWard, WardSession
from toolward.errors import Pending, ToolwardError
from toolward.governance.desk import invoke
from toolward.lab.paths.canary import person
from toolward.lab.report import Row, write_report

FOUND: Final = "found-time-9a5b78d9"
"""The id that the server `time` of the source `shelf` gets, and no other."""
CUT_OFF: Final = {"source_timezone": "Europe/Berlin", "time": "17:00", "target_timezone": "UTC"}
FILING: Final = "INSERT INTO filings VALUES ('2026-10', 300)"
SESSIONS: Final = 4
CALLS_EACH: Final = 6
"""Enough for the gate: twenty calls by three sessions."""
FILES: Final[Mapping[str, str]] = {
    "toolward.yaml": """\
version: 1
name: work
discovery:
  face: both
  sources:
    shelf: {directory: found, admit: automatically}
servers:
  sqlite:
    package: pypi:mcp-server-sqlite==2025.4.25
    constraints: ["mcp<2"]
    arguments: [--db-path, "BOOKS/bank.db"]
    roots: ["BOOKS"]
""",
    "gates.yaml": """\
version: 1
channels:
  production:
    compatible: true
    used: {calls: 20, sessions: 3}
    signoff: {people: 1}
""",
    "found/mcp.json": orjson.dumps(
        {"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time==2026.10.19"]}}}
    ).decode(),
    "objectives/liquidity-return.yaml": f"""\
name: liquidity-return
purpose: file the monthly liquidity return in the table filings
owner: treasury
steps:
  - name: explore
    tools: [sqlite/read_query, "{FOUND}/*"]
  - name: file
    tools: [sqlite/read_query, sqlite/write_query, "{FOUND}/convert_time"]
    decision_critical: true
    bounds: {{written: 1}}
success:
  steps: [explore, file]
  tools: [sqlite/write_query]
""",
}


@dataclass(slots=True)
class Work:
    """The open ward, and what was seen."""

    house: House
    ward: OpenWard
    rows: list[Row] = field(default_factory=list)

    async def desk(self, verb: str, who: str, **parameters: Any) -> Any:
        """A verb of the desk, by a person."""
        return await invoke(self.house.desk, verb, parameters, person(who))

    def session(self) -> Any:
        """The agent's session toward the return, for Carol."""
        prompt = f"file the return: {FILING}"
        return self.ward.session(user="carol", agent="clerk", objective="liquidity-return", prompt=prompt)

    def saw(self, what: str, figure: float | str, *, goal: str = "") -> None:
        """One row of the report; what is promised has to be what was seen."""
        self.rows.append(Row(what, figure, "", goal, not goal or str(figure) == goal))


async def code_of(session: WardSession, tool: str, **arguments: Any) -> str:
    """`answered`, or the code with which a call is refused."""
    try:
        _ = await session.call(tool, **arguments)
    except ToolwardError as no:
        return no.reason.code.value
    return "answered"


async def play(work: Work, database: Path) -> None:
    """The whole piece of work."""
    await _prepared(work)
    await _explored(work)
    async with work.session() as session:
        _ = await session.call("sqlite/read_query", query="SELECT sum(cents) FROM books")
        await session.step("file")
        refused = await code_of(session, f"{FOUND}/convert_time", **CUT_OFF)
        work.saw("the found tool in the decision-critical step", refused, goal="secure_path")
        await session.fail("the cut-off can not be computed by an approved tool")
    await _promoted(work)
    async with work.session() as session:
        found = await session.call("sqlite/read_query", query="SELECT sum(cents) FROM books")
        total = "300" if "300" in found.text else found.text
        work.saw("the books, read in the step `explore`", total, goal="300")
        await session.step("file")
        used = await code_of(session, f"{FOUND}/convert_time", **CUT_OFF)
        work.saw("the promoted tool in the decision-critical step", used, goal="answered")
        await _filed(work, session)
        ended = await session.finish()
        work.saw("the objective", ended.outcome.value, goal="reached")
    with closing(sqlite3.connect(database)) as books:
        (rows,) = books.execute("SELECT count(*) FROM filings").fetchone()
    work.saw("returns in the table of filings", str(rows), goal="1")


async def _prepared(work: Work) -> None:
    """People look at the tools of the core and at what was found; the objective is approved as a whole."""
    await work.house.parts.drift.refresh("sqlite")
    pins = [pin for pin in work.house.parts.registry.pins() if pin.server == "sqlite"]
    tools = [{"tool": pin.key, "digest": pin.digest} for pin in pins]
    await work.desk("tools.approve", "ana", tools=tools)
    (work.house.ward.path / "gates.yaml").write_text(FILES["gates.yaml"])
    await work.desk("reload", "ana")
    _ = await work.desk("discovery.look", "ana")
    await work.desk("objectives.approve", "ana", objective="liquidity-return")
    state = work.house.parts.registry.known(f"{FOUND}/convert_time").state
    work.saw("what the directory's server offers is", state.value, goal="discovered")


async def _explored(work: Work) -> None:
    """Found by its words, called on the open path, by several sessions."""
    async with work.ward.session(user="carol", agent="clerk") as session:
        shown = await session.call("toolward__search_tools", query="convert time zone")
        best = shown.structured["tools"][0]["name"] if shown.structured else ""
        work.saw("a search for `convert time zone` finds", str(best), goal=f"{FOUND}__convert_time")
    answered = 0
    for _ in range(SESSIONS):
        async with work.ward.session(user="carol", agent="clerk") as session:
            for _ in range(CALLS_EACH):
                answered += await code_of(session, f"{FOUND}/convert_time", **CUT_OFF) == "answered"
    work.saw("calls of it on the open path", str(answered), goal=str(SESSIONS * CALLS_EACH))
    rows = await work.desk("tools.list", "ana", server=FOUND, state="discovered")
    marked = [each["name"] for each in rows if each["worth_promoting"]]
    work.saw("marked as worth a look", " ".join(marked), goal="convert_time")


async def _promoted(work: Work) -> None:
    """Two people, with the record of its use; then the objective is another one, and is looked at again."""
    key = f"{FOUND}/convert_time"
    proposed = await work.desk("tools.promote", "ana", tool=key, to="production")
    work.saw("after one person it is", proposed["state"], goal="proposed")
    promoted = await work.desk("tools.promote", "ben", tool=key, to="production")
    work.saw("after a second person it is", promoted["state"], goal="promoted")
    used = next(each for each in promoted["checks"] if each["what"] == "used")
    work.saw("with the evidence", f"{used['text']} ({used['evidence'][:19]})")
    await work.desk("objectives.approve", "ana", objective="liquidity-return")


async def _filed(work: Work, session: WardSession) -> None:
    """The write is asked about, agreed to by the user, and runs once."""
    try:
        _ = await session.call("sqlite/write_query", query=FILING)
    except Pending as pending:
        work.saw("filing it", pending.reason.code.value, goal="approval_required")
        key = await work.desk("keys.create", "carol", kind="person")
        carol = work.house.identity.named(key["name"])
        _ = await invoke(work.house.desk, "approvals.approve", {"approval": pending.approval}, carol)
        _ = await session.call("sqlite/write_query", query=FILING)


async def on_a_ward(folder: Path) -> list[Row]:
    """Write the ward and the books into `folder`, do the work, and say what was seen."""
    path, books = folder / "ward", folder / "books"
    books.mkdir()
    with closing(sqlite3.connect(books / "bank.db")) as database, database:
        database.executescript(
            "CREATE TABLE books(cents INTEGER); INSERT INTO books VALUES (100), (200);"
            "CREATE TABLE filings(month TEXT, cents INTEGER);"
        )
    for name, text in FILES.items():
        if name != "gates.yaml":
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text.replace("BOOKS", str(books)))
    async with open_house(path) as house:
        work = Work(house, OpenWard(house))
        await play(work, books / "bank.db")
        return work.rows


def main() -> int:
    """Do it in a directory of its own, and print the table."""
    with tempfile.TemporaryDirectory(prefix="toolward-work-") as folder:
        rows = asyncio.run(on_a_ward(Path(folder)))
    write_report("paths-work", rows)
    return 0 if all(row.holds for row in rows) else 1
