"""Ten writes of a scripted agent on four real servers, and one command that takes all of them back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import toolward
from cli_world import Ran, Terminal

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "a@b.c"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, env={**os.environ, **who}
    )
    return done.stdout


class Office:
    """What the agent works on: a repository, a database, files and a memory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repo, self.files = home / "repo", home / "files"
        self.database, self.memory = home / "shop.db", home / "memory.jsonl"
        self.repo.mkdir(parents=True)
        self.files.mkdir()
        (self.repo / "readme").write_text("begin\n")
        for command in (
            ("init", "-q", "-b", "main"),
            ("config", "user.name", "Ana"),
            ("config", "user.email", "a@b.c"),
            ("add", "."),
            ("commit", "-qm", "begin"),
        ):
            git(self.repo, *command)
        (self.repo / "invoice").write_text("42\n")
        (self.files / "plan.txt").write_text("the old plan\n")
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute("CREATE TABLE orders(number TEXT, cents INTEGER)")
            database.execute("INSERT INTO orders VALUES ('R-1', 100), ('R-2', 250)")
        entity = {"type": "entity", "name": "Ana", "entityType": "person", "observations": ["likes tea"]}
        self.memory.write_text(json.dumps(entity))

    def client_file(self) -> Path:
        servers = {
            "git": {"command": "uvx", "args": ["mcp-server-git"]},
            "sqlite": {"command": "uvx", "args": ["mcp-server-sqlite", "--db-path", str(self.database)]},
            "files": {
                "command": "npx",
                "args": ["-y", "@modelcontextprotocol/server-filesystem", str(self.files)],
            },
            "memory": {
                "command": "npx",
                "args": ["-y", "@modelcontextprotocol/server-memory"],
                "env": {"MEMORY_FILE_PATH": str(self.memory)},
            },
        }
        path = self.home / ".mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        return path

    def writes(self) -> list[tuple[str, dict[str, Any]]]:
        repo, files = str(self.repo), self.files
        return [
            ("git/git_create_branch", {"repo_path": repo, "branch_name": "agent"}),
            ("git/git_checkout", {"repo_path": repo, "branch_name": "agent"}),
            ("git/git_add", {"repo_path": repo, "files": ["invoice"]}),
            ("git/git_commit", {"repo_path": repo, "message": "the agent's"}),
            ("files/write_file", {"path": str(files / "plan.txt"), "content": "a new plan\n"}),
            ("files/create_directory", {"path": str(files / "old")}),
            (
                "files/move_file",
                {"source": str(files / "plan.txt"), "destination": str(files / "old" / "plan.txt")},
            ),
            ("sqlite/write_query", {"query": "DELETE FROM orders WHERE number = 'R-1'"}),
            ("sqlite/create_table", {"query": "CREATE TABLE archive(number TEXT)"}),
            (
                "memory/create_entities",
                {"entities": [{"name": "Piet", "entityType": "person", "observations": []}]},
            ),
        ]

    def state(self) -> dict[str, str]:
        """Refs, tree and status of git; the database as statements; every file's content."""
        with closing(sqlite3.connect(self.database)) as database:
            dump = "\n".join(database.iterdump())
        return {
            "refs": git(self.repo, "show-ref") + git(self.repo, "symbolic-ref", "HEAD"),
            "tree": git(self.repo, "ls-tree", "-r", "HEAD") + git(self.repo, "status", "--porcelain"),
            "database": dump,
            "memory": self.memory.read_text(),
            "files": json.dumps(
                {
                    str(path.relative_to(self.files)): path.read_text() if path.is_file() else ""
                    for path in sorted(self.files.rglob("*"))
                }
            ),
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Terminal, Office]:
    """A ward exactly as `init` makes it; `observe` lets pass what a person would be asked about."""
    home = tmp_path_factory.mktemp("rollback")
    office, terminal = Office(home / "office"), Terminal(home)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    terminal.ok(
        "init", str(terminal.ward), "--from", str(office.client_file()), "--profile", "observe", "--yes"
    )
    return terminal, office


def act(terminal: Terminal, office: Office) -> tuple[str, list[str]]:
    """All ten writes in one session; its id, and those of the calls."""

    async def run() -> tuple[str, list[str]]:
        async with (
            toolward.open(terminal.ward) as ward,
            ward.session(user="ana", agent="scripted") as session,
        ):
            ids = []
            for tool, arguments in office.writes():
                result = await session.call(tool, arguments)
                assert not result.is_error, (tool, result.text)
                ids.append(result.call_id)
                looked = await session.call("git/git_status", repo_path=str(office.repo))  # as agents do
                assert not looked.is_error
            return session.session_id, ids

    return asyncio.run(run())


def roll_back(terminal: Terminal, session: str, *more: str) -> Ran:
    return terminal.run("sessions", "rollback", session, "--json", *more)


def test_ten_writes_on_four_servers_are_taken_back_by_one_command(made: tuple[Terminal, Office]) -> None:
    terminal, office = made
    before = office.state()
    session, ids = act(terminal, office)
    after = office.state()
    assert all(before[part] != after[part] for part in before), "every part was really changed"
    plan = roll_back(terminal, session, "--plan").json
    assert [step["call_id"] for step in plan["steps"]] == ids[::-1]
    assert office.state() == after, "a plan touches nothing"
    ended = roll_back(terminal, session)
    assert (ended.code, ended.json["state"], ended.json["residuals"]) == (0, "COMPENSATED", []), ended.json
    assert ended.json["plan_hash"] == plan["plan_hash"]
    assert office.state() == before
    terminal.ok("audit", "verify")


@pytest.mark.parametrize("part", ["database"])
def test_a_compensation_that_fails_is_named_and_everything_else_is_taken_back(
    made: tuple[Terminal, Office], part: str
) -> None:
    terminal, office = made
    before = office.state()
    session, ids = act(terminal, office)
    with closing(sqlite3.connect(office.database)) as database, database:
        database.execute("INSERT INTO orders VALUES ('R-3', 1)")  # somebody else, after the agent
    ended = roll_back(terminal, session)
    assert (ended.code, ended.json["state"]) == (1, "NEEDS_HUMAN"), ended.json
    left = {each["call_id"]: each["reason"] for each in ended.json["residuals"]}
    assert list(left) == [ids[8], ids[7]], "both statements: the one above is stuck, the one beneath waits"
    assert "CONFLICT" in left[ids[8]]
    assert left[ids[7]].startswith("frozen")
    now = office.state()
    assert "R-3" in now[part]
    assert {name: text for name, text in now.items() if name != part} == {
        name: text for name, text in before.items() if name != part
    }
    with closing(sqlite3.connect(office.database)) as database, database:
        database.execute("DELETE FROM orders WHERE number = 'R-3'")
    again = terminal.run("sessions", "retry", ended.json["rollback"], "--json")
    assert again.json["state"] == "NEEDS_HUMAN", "the file is not byte for byte what the call left"
    assert office.state() != before
