"""Clients are pointed at the gateway in place, with a way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolward.config.clients.connecting import Client, GatewayEntry, declared, plan_connect
from toolward.config.clients.files import Desktop, bypasses, client_file, connect, read_client, undo
from toolward.config.clients.jsonc import parse
from toolward.errors import WardError

STDIO = GatewayEntry(command=("toolward", "stdio", "/srv/ward"))
HTTP = GatewayEntry(url="http://127.0.0.1:7420/mcp")
NOW = 1_795_312_500_000_000_000
SETTINGS = """{
  // how I like it
  "theme": "dark", // never light
  "mcpServers": {
    // the repository
    "git": {"command": "uvx", "args": ["mcp-server-git"]},
    /* keep */ "mine": {"command": "x"}
  },
  "last": [1, 2,],
}
"""


def test_the_gateway_is_added_and_everything_else_stays_to_the_byte() -> None:
    after = plan_connect(SETTINGS, client=Client.CLAUDE_DESKTOP, entry=STDIO)
    assert parse(after).plain()["mcpServers"]["toolward"] == {
        "command": "toolward",
        "args": ["stdio", "/srv/ward"],
    }
    kept = [line for line in after.splitlines() if line in SETTINGS.splitlines()]
    assert kept == SETTINGS.splitlines()


def test_servers_behind_the_gateway_are_taken_out_so_that_it_can_not_be_gone_around() -> None:
    after = plan_connect(SETTINGS, client=Client.CURSOR, entry=STDIO, replaces=["git"])
    assert declared(after, Client.CURSOR) == ("toolward", "mine")
    assert "// the repository" in after
    assert "/* keep */" in after
    gone = plan_connect(after, client=Client.CURSOR, entry=STDIO, replaces=["mine", "toolward"])
    assert declared(gone, Client.CURSOR) == ("toolward",)


@pytest.mark.parametrize("client", list(Client))
@pytest.mark.parametrize("text", ["", "{}", "{ }\n", "\ufeff{\r\n}\r\n", '{"a": 1}', SETTINGS, "{ // c\n}"])
def test_connecting_twice_is_connecting_once(client: Client, text: str) -> None:
    entry = STDIO if client is Client.CLAUDE_DESKTOP else HTTP
    once = plan_connect(text, client=client, entry=entry)
    assert plan_connect(once, client=client, entry=entry) == once
    assert "toolward" in declared(once, client)
    before = parse(text).plain() if text.strip("\ufeff") else {}
    after = parse(once).plain()
    assert {key: after[key] for key in before if key != "mcpServers"} == {
        key: value for key, value in before.items() if key != "mcpServers"
    }


def test_no_key_stands_in_a_clients_file() -> None:
    vs_code = parse(plan_connect("", client=Client.VS_CODE, entry=HTTP)).plain()
    assert vs_code["servers"]["toolward"]["headers"] == {"Authorization": "Bearer ${input:toolward-key}"}
    assert vs_code["inputs"][0]["password"] is True
    more = plan_connect('{"inputs": [{"id": "a"}]}', client=Client.VS_CODE, entry=HTTP)
    assert [item["id"] for item in parse(more).plain()["inputs"]] == ["toolward-key", "a"]
    cursor = parse(plan_connect("", client=Client.CURSOR, entry=HTTP)).plain()
    assert cursor["mcpServers"]["toolward"]["headers"]["Authorization"] == "Bearer ${env:TOOLWARD_KEY}"


def test_a_changed_way_to_the_gateway_replaces_the_old_one() -> None:
    once = plan_connect(SETTINGS, client=Client.CLAUDE_CODE, entry=STDIO)
    again = plan_connect(once, client=Client.CLAUDE_CODE, entry=HTTP)
    assert parse(again).plain()["mcpServers"]["toolward"]["url"] == HTTP.url
    assert declared(again, Client.CLAUDE_CODE) == ("toolward", "git", "mine")


def test_claude_desktop_can_not_be_given_a_url() -> None:
    with pytest.raises(WardError, match="local servers only"):
        plan_connect("", client=Client.CLAUDE_DESKTOP, entry=HTTP)


@pytest.mark.parametrize("text", ['{"mcpServers": []}', "[]", '{"mcpServers": {', "hello"])
def test_a_file_that_is_not_understood_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / ".mcp.json"
    file.write_text(text)
    with pytest.raises(WardError, match="not the configuration of an mcp client") as caught:
        connect(file, client=Client.CLAUDE_CODE, entry=STDIO, now_ns=NOW)
    assert caught.value.line == 1
    assert [item.name for item in tmp_path.iterdir()] == [".mcp.json"]
    assert file.read_text() == text


@pytest.mark.parametrize("text", [SETTINGS, "", "{}", SETTINGS.replace("\n", "\r\n"), "\ufeff" + SETTINGS])
def test_undo_brings_the_file_back_byte_for_byte_with_its_mode(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_bytes(text.encode())
    file.chmod(0o640)
    done = connect(file, client=Client.CURSOR, entry=STDIO, now_ns=NOW, replaces=["git"])
    assert done.backup is not None
    assert done.backup.name.startswith("mcp.json.toolward-2026")
    assert done.backup.stat().st_mode & 0o777 == 0o600
    assert done.removed == (("git",) if "git" in text else ())
    assert file.read_bytes() != text.encode()
    again = connect(file, client=Client.CURSOR, entry=STDIO, now_ns=NOW + 1, replaces=["git"])
    assert again.backup is None
    undo(file)
    assert file.read_bytes() == text.encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [item.name for item in tmp_path.iterdir()] == ["mcp.json"]


def test_undo_takes_away_a_file_that_connect_made(tmp_path: Path) -> None:
    file = tmp_path / ".cursor" / "mcp.json"
    connect(file, client=Client.CURSOR, entry=STDIO, now_ns=NOW)
    assert file.exists()
    undo(file)
    assert not file.exists()


def test_undo_goes_back_one_step_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / ".mcp.json"
    file.write_text(SETTINGS)
    connect(file, client=Client.CLAUDE_CODE, entry=STDIO, now_ns=NOW)
    middle = file.read_bytes()
    connect(file, client=Client.CLAUDE_CODE, entry=HTTP, now_ns=NOW + 1_000_000)
    undo(file)
    assert file.read_bytes() == middle
    undo(file)
    assert file.read_text() == SETTINGS
    with pytest.raises(WardError, match="nothing to undo"):
        undo(file)


def test_undo_never_throws_away_what_was_written_since(tmp_path: Path) -> None:
    file = tmp_path / ".mcp.json"
    file.write_text(SETTINGS)
    done = connect(file, client=Client.CLAUDE_CODE, entry=STDIO, now_ns=NOW)
    file.write_text(file.read_text() + "// a later thought\n")
    with pytest.raises(WardError, match="changed since") as caught:
        undo(file)
    assert done.backup is not None
    assert done.backup.name in caught.value.reason.remedy
    assert file.read_text().endswith("// a later thought\n")


def test_a_linked_configuration_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text(SETTINGS)
    file = tmp_path / "mcp.json"
    file.symlink_to(real)
    connect(file, client=Client.CURSOR, entry=STDIO, now_ns=NOW)
    assert file.is_symlink()
    assert "toolward" in real.read_text()
    undo(file)
    assert real.read_text() == SETTINGS
    assert file.is_symlink()


def test_each_client_keeps_its_file_somewhere_else() -> None:
    def where(client: Client, platform: str = "linux") -> str:
        return str(client_file(client, desktop(Path("/h"), project=Path("/p"), platform=platform)))

    assert where(Client.CLAUDE_CODE) == "/p/.mcp.json"
    assert where(Client.CURSOR) == "/p/.cursor/mcp.json"
    assert where(Client.VS_CODE) == "/p/.vscode/mcp.json"
    assert where(Client.CLAUDE_DESKTOP) == "/h/.config/Claude/claude_desktop_config.json"
    assert "Application Support" in where(Client.CLAUDE_DESKTOP, "darwin")


def test_a_file_that_is_not_there_or_is_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(WardError, match="no such file"):
        read_client(tmp_path / "mcp.json")
    (tmp_path / "mcp.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(WardError, match="not utf-8"):
        read_client(tmp_path / "mcp.json")


def desktop(home: Path, *, project: Path | None = None, platform: str = "linux") -> Desktop:
    return Desktop(project=project, here=home / "here", home=home, environ={}, platform=platform)


def servers_in(file: Path, *names: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"mcpServers": {name: {"command": "x"} for name in names}}))
    return file


def test_cursors_own_file_is_taken_when_no_project_has_one_or_was_named(tmp_path: Path) -> None:
    in_project = tmp_path / "here" / ".cursor" / "mcp.json"
    assert client_file(Client.CURSOR, desktop(tmp_path)) == in_project
    own = servers_in(tmp_path / ".cursor" / "mcp.json", "git")
    assert client_file(Client.CURSOR, desktop(tmp_path)) == own
    named = client_file(Client.CURSOR, desktop(tmp_path, project=tmp_path / "here"))
    assert named == in_project
    servers_in(in_project, "git")
    assert client_file(Client.CURSOR, desktop(tmp_path)) == in_project


def test_other_files_through_which_an_agent_goes_around_the_gateway_are_named(tmp_path: Path) -> None:
    here = servers_in(tmp_path / "here" / ".mcp.json", "toolward")
    own = servers_in(tmp_path / ".claude.json", "git", "mine")
    held = ("git", "time")
    found = bypasses(Client.CLAUDE_CODE, desktop(tmp_path), file=here, held=held)
    assert found == {own: ("git",)}
    assert bypasses(Client.CLAUDE_CODE, desktop(tmp_path), file=own, held=held) == {}
    own.write_text("{ not json")
    assert bypasses(Client.CLAUDE_CODE, desktop(tmp_path), file=here, held=held) == {}
    assert bypasses(Client.CLAUDE_DESKTOP, desktop(tmp_path), file=here, held=held) == {}
