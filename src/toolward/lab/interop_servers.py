"""Real servers, as a person's `mcp.json` names them, and one real call to each.

Versions are pinned. A server that needs the internet is listed and not called, and says so; one that needs
Node is left out where there is none.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from toolward.lab.toolchain import run

PAGE: Final = b"<!doctype html><title>toolward</title><p>a page of the lab's own</p>"
INTERNET: Final = "its tools need the internet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """One entry of `mcpServers`, and the call that is made. Without `tool` it is only listed: `why_not`."""

    name: str
    command: str = ""  # uvx | npx
    package: str = ""
    url: str = ""  # of one that is started elsewhere, and has no command
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[str, ...] = ()  # further requirements, `--with`
    tool: str = ""
    call: Mapping[str, Any] = field(default_factory=dict)
    expect: str = ""  # text that a right answer holds
    why_not: str = ""

    @property
    def needs_node(self) -> bool:
        """Whether it comes from npm."""
        return self.command == "npx"

    def entry(self) -> dict[str, Any]:
        """As a client's file has it."""
        if self.url:
            return {"type": "http", "url": self.url}
        options = ["-y"] if self.needs_node else [part for each in self.extra for part in ("--with", each)]
        out: dict[str, Any] = {"command": self.command, "args": [*options, self.package, *self.arguments]}
        if self.env:
            out["env"] = dict(self.env)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the servers work on; all of it made fresh below one folder."""

    repository: Path
    database: Path
    files: Path
    page: str  # URL of a page on this machine

    @staticmethod
    def make(folder: Path, page: str) -> Place:
        """A repository with a commit, a database with a row, a folder with a file. Raises `SetupFailed`."""
        shutil.rmtree(folder, ignore_errors=True)
        place = Place(
            repository=folder / "repository",
            database=folder / "shop.db",
            files=folder / "files",
            page=page,
        )
        place.repository.mkdir(parents=True)
        place.files.mkdir()
        (place.files / "note.txt").write_text("the note of the lab\n", encoding="utf-8")
        (place.repository / "readme.md").write_text("first\n", encoding="utf-8")
        who = ("-c", "user.name=lab", "-c", "user.email=lab@localhost")
        for step in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "the first commit")):
            run(["git", *step], cwd=place.repository)
        with sqlite3.connect(place.database) as database:
            database.execute("create table goods (name text)")
            database.execute("insert into goods values ('lantern')")
        database.close()
        return place


def real_servers(place: Place) -> tuple[RealServer, ...]:
    """Fourteen of them."""
    return (*_of_the_reference(place), *_of_others(place), *_listed_only(place), *_from_npm(place))


def _of_the_reference(place: Place) -> tuple[RealServer, ...]:
    return (
        RealServer(
            name="git",
            command="uvx",
            package="mcp-server-git==2026.10.19",
            arguments=("--repository", str(place.repository)),
            tool="git_log",
            call={"repo_path": str(place.repository)},
            expect="the first commit",
        ),
        RealServer(
            name="time",
            command="uvx",
            package="mcp-server-time==2026.10.19",
            tool="get_current_time",
            call={"timezone": "UTC"},
            expect="UTC",
        ),
        RealServer(
            name="sqlite",
            command="uvx",
            package="mcp-server-sqlite==2025.4.25",
            extra=("mcp<2",),
            arguments=("--db-path", str(place.database)),
            tool="read_query",
            call={"query": "select name from goods"},
            expect="lantern",
        ),
        RealServer(
            name="fetch",
            command="uvx",
            package="mcp-server-fetch==2026.10.24",
            arguments=("--allow-private-ips", "--ignore-robots-txt"),
            tool="fetch",
            # raw, else its first call runs `npm install`, where there is npm
            call={"url": place.page, "raw": True},
            expect="a page of the lab's own",
        ),
    )


def _of_others(place: Place) -> tuple[RealServer, ...]:
    return (
        RealServer(
            name="calculator",
            command="uvx",
            package="mcp-server-calculator==0.2.1",
            tool="calculate",
            call={"expression": "6*7"},
            expect="42",
        ),
        RealServer(
            name="excel",
            command="uvx",
            package="excel-mcp-server==2.2.2",
            arguments=("stdio",),
            tool="list_workbooks",
            call={"directory": str(place.files)},
        ),
        RealServer(
            name="alchemy",
            command="uvx",
            package="mcp-alchemy==2026.10.15.202659",
            env={"DB_URL": f"sqlite:///{place.database}"},
            tool="all_table_names",
            expect="goods",
        ),
        RealServer(
            name="arxiv",
            command="uvx",
            package="arxiv-mcp-server==0.8.2",
            arguments=("--storage-path", str(place.files / "papers")),
            tool="list_papers",
        ),
    )


def _listed_only(place: Place) -> tuple[RealServer, ...]:
    del place
    return (
        RealServer(
            name="duckduckgo", command="uvx", package="duckduckgo-mcp-server==0.7.0", why_not=INTERNET
        ),
        RealServer(
            name="aws-documentation",
            command="uvx",
            package="awslabs.aws-documentation-mcp-server==1.2.3",
            why_not=INTERNET,
        ),
    )


def _from_npm(place: Place) -> tuple[RealServer, ...]:
    scope = "@modelcontextprotocol"
    return (
        RealServer(
            name="everything",
            command="npx",
            package=f"{scope}/server-everything@2026.8.31",
            tool="echo",
            call={"message": "hello through the corridor"},
            expect="hello through the corridor",
        ),
        RealServer(
            name="filesystem",
            command="npx",
            package=f"{scope}/server-filesystem@2026.8.31",
            arguments=(str(place.files),),
            tool="read_text_file",
            call={"path": str(place.files / "note.txt")},
            expect="the note of the lab",
        ),
        RealServer(
            name="memory",
            command="npx",
            package=f"{scope}/server-memory@2026.8.31",
            env={"MEMORY_FILE_PATH": str(place.files / "memory.jsonl")},
            tool="read_graph",
            expect="entities",
        ),
        RealServer(
            name="sequential-thinking",
            command="npx",
            package=f"{scope}/server-sequential-thinking@2026.8.31",
            tool="sequentialthinking",
            call={"thought": "one", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
            expect="thoughtNumber",
        ),
    )
