"""`toolward sessions` against a real ward with tools that really write."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from cli_world import Terminal, made, terminal

__all__ = ["made", "terminal"]

SOURCE = '''
def write(path: str, text: str) -> str:
    """Write a file."""
    with open(path, "w") as file:
        file.write(text)
    return "written"
'''


@pytest.fixture
def writing(terminal: Terminal) -> tuple[Terminal, Path]:
    """A ward with a function that writes files, and a directory for them."""
    files = terminal.home / "files"
    files.mkdir()
    (files / "a").write_text("old")
    config = terminal.ward / "toolward.yaml"
    config.write_text(config.read_text().replace("servers:\n", "servers:\n  mine: {functions: mine.py}\n", 1))
    (terminal.ward / "mine.py").write_text(SOURCE)
    (terminal.ward / "tools" / "mine.yaml").write_text(f"""\
server: mine
capabilities: {{write: [{{template: "{{dir:path}}", root: {files}}}]}}
tools:
  write:
    effect: reversible
    egress: false
    undo: {{snapshot: {{paths: ["{{arg:path}}"]}}, compensate: {{restore: true}}}}
""")
    terminal.ok("check")
    terminal.ok("tools", "list", "--refresh")
    terminal.ok("tools", "approve", "mine/write")
    return terminal, files


def write(terminal: Terminal, path: Path, text: str) -> str:
    """Returns the session."""
    called = terminal.ok("call", "mine/write", "-a", f"path={path}", "-a", f"text={text}", "--json").json
    return str(called["session"])


def test_a_session_is_listed_shown_planned_and_rolled_back(writing: tuple[Terminal, Path]) -> None:
    terminal, files = writing
    session = write(terminal, files / "a", "new")
    [row] = [each for each in terminal.ok("sessions", "list", "--json").json if each["session"] == session]
    assert (row["writes"], row["undone"]) == (1, 0)
    assert session in terminal.ok("sessions", "list").out.replace("\n", "")
    shown = terminal.ok("sessions", "show", session, "--json").json
    assert [(each["tool"], each["status"], each["way"]) for each in shown["effects"]] == [
        ("mine/write", "committed", "restore")
    ]
    plan = terminal.ok("sessions", "rollback", session, "--plan", "--json").json
    assert (files / "a").read_text() == "new"
    ended = terminal.ok("sessions", "rollback", session, "--why", "a try")
    assert "COMPENSATED" in ended.out
    assert (files / "a").read_text() == "old"
    shown = terminal.ok("sessions", "show", session, "--json").json
    assert [each["plan_hash"] for each in shown["rollbacks"]] == [plan["plan_hash"]]
    assert shown["effects"][0]["undone"] == shown["rollbacks"][0]["rollback"]


def test_where_the_arguments_came_from_is_told_in_words_and_in_standard_forms(
    writing: tuple[Terminal, Path],
) -> None:
    terminal, files = writing
    session = write(terminal, files / "a", "new")
    told = terminal.ok("sessions", "show", session, "--lineage").out
    assert "/text: the agent wrote it" in told
    calls = terminal.ok("sessions", "show", session, "--lineage", "--json").json["calls"]
    assert [each["tool"] for each in calls] == ["mine/write"]
    assert "wasAssociatedWith" in terminal.ok("sessions", "show", session, "--prov").json
    events = [
        orjson.loads(line)
        for line in terminal.ok("sessions", "show", session, "--openlineage").out.splitlines()
    ]
    assert [each["eventType"] for each in events] == ["START", "COMPLETE"]


def test_what_is_stuck_exits_1_names_the_two_ways_out_and_takes_two_people(
    writing: tuple[Terminal, Path],
) -> None:
    terminal, files = writing
    session = write(terminal, files / "a", "new")
    (files / "a").write_text("a person's")
    ran = terminal.run("sessions", "rollback", session)
    assert ran.code == 1
    assert "NEEDS_HUMAN" in ran.out
    assert "CONFLICT" in ran.err
    assert "toolward sessions retry" in ran.err
    assert (files / "a").read_text() == "a person's"
    [rollback] = terminal.ok("sessions", "show", session, "--json").json["rollbacks"]
    number, [step] = rollback["rollback"], rollback["steps"]
    assert "fenced" in terminal.run("call", "mine/write", "-a", f"path={files / 'a'}", "-a", "text=x").err
    accept = ("sessions", "accept", number, step["call"], "--reason", "it is right so", "--json")
    assert terminal.run(*accept).json["state"] == "NEEDS_HUMAN"
    assert "second person" in terminal.run(*accept[:-1]).err
    refused = terminal.run("keys", "create", "--person", "--user", "piet")
    assert "role `admin`" in refused.err
    me = next(row["user"] for row in terminal.ok("keys", "list", "--json").json if row["kind"] == "person")
    config = terminal.ward / "toolward.yaml"
    config.write_text(config.read_text() + f"roles: {{admin: [{me}]}}\n")
    second = terminal.ok("keys", "create", "--person", "--user", "piet", "--json").json["token"]
    assert terminal.run(*accept, "--person-key", second).json["state"] == "PARTIALLY_COMPENSATED"
    write(terminal, files / "a", "again")
    assert terminal.run("sessions", "retry", number).code == 1, "there is nothing left to retry"


def test_unknown_sessions_and_places_are_refused(writing: tuple[Terminal, Path]) -> None:
    terminal, files = writing
    assert "names 0 sessions" in terminal.run("sessions", "show", "nothing").err
    session = write(terminal, files / "a", "new")
    assert "neither a savepoint nor a call" in terminal.run("sessions", "rollback", session, "--to", "x").err
