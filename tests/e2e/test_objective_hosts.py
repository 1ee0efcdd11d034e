"""The worked example of docs/objectives.md, on a real server, before a daemon, with a host and an official client."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from cli_world import Ran, Terminal
from daemon_world import ROOT, Daemon, over_http

UV = Path(sys.executable).with_name("uv").exists() or shutil.which("uv") is not None
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not UV, reason="no uv here: `make setup` puts one into .venv/bin"),
]
FILING = {"query": "INSERT INTO filings VALUES ('2026-10', 300)"}


class Bank:
    """A ward as `init` makes it, with the objective as the documents have it, and its daemon."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        self.database = home / "books" / "bank.db"
        self.database.parent.mkdir()
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute("CREATE TABLE books(cents INTEGER)")
            database.execute("INSERT INTO books VALUES (100), (200)")
            database.execute("CREATE TABLE filings(month TEXT, cents INTEGER)")
        server = {"command": "uvx", "args": ["mcp-server-sqlite", "--db-path", str(self.database)]}
        (home / "mcp.json").write_text(json.dumps({"mcpServers": {"sqlite": server}}))
        self.terminal = Terminal(home)
        self.terminal.ok("init", str(self.terminal.ward), "--from", str(home / "mcp.json"), "--yes")
        text = (ROOT / "docs" / "objectives.md").read_text()
        [objective] = re.findall(r"```yaml\n# objectives/liquidity-return.yaml\n(.*?)```", text, re.DOTALL)
        folder = self.terminal.ward / "objectives"
        folder.mkdir(exist_ok=True)
        (folder / "liquidity-return.yaml").write_text(objective)
        self.daemon: Daemon | None = None

    def filed(self) -> list[tuple[str, int]]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute("SELECT month, cents FROM filings").fetchall()

    async def typed(self, *arguments: str) -> Ran:
        """A command, beside a loop that runs."""
        return await asyncio.to_thread(self.terminal.ok, *arguments)

    def up(self) -> str:
        self.daemon = Daemon(self.terminal)
        return str(self.daemon.ready()["url"]).removesuffix("/mcp")


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    made = Bank(tmp_path, monkeypatch)
    yield made
    if made.daemon is not None and made.daemon.process.poll() is None:
        made.daemon.process.kill()
        made.daemon.process.communicate()


class Host:
    """The program that runs the agent: it has a key of its own, and only conducts."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx2.AsyncClient(
            base_url=f"{url}/admin/", headers={"Authorization": f"Bearer {key}"}, timeout=60
        )

    async def __call__(self, verb: str, **parameters: Any) -> tuple[int, Any]:
        answer = await self.http.post(verb, json=parameters)
        return answer.status_code, answer.json()


async def collect(client: Client, bank: Bank) -> None:
    """Reads, and is refused a write."""
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert tools == {"sqlite__read_query", "sqlite__list_tables", "sqlite__describe_table"}
    read = await client.call_tool("sqlite__read_query", {"query": "SELECT sum(cents) FROM books"})
    assert "300" in read.content[0].text
    refused = await client.call_tool("sqlite__write_query", FILING)
    assert refused.is_error
    assert "the step `collect` does not use sqlite/write_query" in refused.content[0].text
    assert bank.filed() == []


async def publish(client: Client, bank: Bank) -> None:
    """Files, once the user agreed: the catalogue calls the tool irreversible."""
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert tools == {"sqlite__read_query", "sqlite__write_query"}
    assert (await client.call_tool("sqlite__write_query", FILING)).is_error
    [waiting] = (await bank.typed("approvals", "list", "--json")).json
    assert waiting["objective"] == "liquidity-return"
    await bank.typed("approvals", "approve", waiting["approval"])
    filed = await client.call_tool("sqlite__write_query", FILING)
    assert not filed.is_error, filed
    assert bank.filed() == [("2026-10", 300)]


async def test_the_agent_reads_in_one_step_and_files_in_another_on_the_secure_path(bank: Bank) -> None:
    agent = (await bank.typed("keys", "create", "reporter", "--json")).json
    host_key = (await bank.typed("keys", "create", "reporter", "--host", "--json")).json
    url = await asyncio.to_thread(bank.up)
    host = Host(url, host_key["token"])
    opening = {"key": agent["name"], "objective": "liquidity-return", "prompt": f"file it: {FILING['query']}"}
    status, refused = await host("sessions.open", **opening)
    assert (status, refused["error"]["code"]) == (403, "objective_not_approved")
    await bank.typed("objectives", "approve", "liquidity-return")
    _, opened = await host("sessions.open", **opening)
    handle = opened["result"]["session"]
    headers = {"X-Toolward-Session": handle, "Prefer": "wait=0"}
    async with over_http(f"{url}/mcp", agent["token"], headers=headers) as client:
        await collect(client, bank)
        status, moved = await host("sessions.step", session=handle, step="publish")
        assert (status, moved["result"]["step"]) == (200, "publish")
        await publish(client, bank)
    records = (await bank.typed("audit", "query", "--kind", "call.intent", "--json")).json
    [intent] = [each["record"] for each in records]
    assert (intent["step"], intent["path"]) == ("publish", "secure")
    assert intent["path_why"] == "the step `publish` of `liquidity-return` is decision-critical"
    status, ended = await host("sessions.finish", session=handle)
    assert (status, ended["result"]["outcome"], ended["result"]["missing"]) == (200, "reached", [])
    await host.http.aclose()


def test_the_objective_of_the_documents_fits_the_server_and_a_misspelt_tool_is_found(bank: Bank) -> None:
    bank.terminal.ok("check", str(bank.terminal.ward))
    file = bank.terminal.ward / "objectives" / "liquidity-return.yaml"
    file.write_text(file.read_text().replace("sqlite/write_query]", "sqlite/wirte_query]"))
    found = bank.terminal.run("check", str(bank.terminal.ward))
    assert found.code == 1
    assert found.out.startswith(
        "objectives/liquidity-return.yaml:9: warning: `sqlite/wirte_query` names no tool"
    )
    assert "did you mean `sqlite/write_query`?" in found.out
