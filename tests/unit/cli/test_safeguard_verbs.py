"""`stop`, `escrow`, `sessions seal` and `call --once` against a real ward."""

from __future__ import annotations

from cli_world import Terminal, made, terminal
from toolward.cli.exits import Exit

__all__ = ["made", "terminal"]


def test_what_is_stopped_refuses_calls_until_it_is_lifted(terminal: Terminal) -> None:
    stopped = terminal.ok("stop", "--server", "tiny", "--why", "it went wild", "--json")
    assert stopped.json == {"stopped": "server/tiny", "cancelled": 0}
    refused = terminal.run("call", "tiny/look", "-a", "what=x")
    assert refused.code == Exit.FINDING
    assert "it went wild" in refused.err
    (row,) = terminal.ok("stop", "list", "--json").json
    assert row["stopped"] == "server/tiny"
    assert "server/tiny" in terminal.ok("stop", "list").out
    assert terminal.ok("incidents", "--open", "--json").json[0]["kind"] == "stop"
    assert "lifted: server/tiny" in terminal.ok("stop", "lift", "--server", "tiny").out
    assert terminal.ok("call", "tiny/look", "-a", "what=x").code == 0
    assert terminal.ok("incidents", "--open", "--json").json == []


def test_a_stop_names_one_thing_and_says_why(terminal: Terminal) -> None:
    assert terminal.run("stop", "robot").code == Exit.USAGE
    assert terminal.run("stop", "--why", "x").code == Exit.USAGE
    assert terminal.run("stop", "robot", "--all", "--why", "x").code == Exit.USAGE
    assert terminal.ok("stop", "robot", "--why", "x", "--json").json["stopped"] == "agent/robot"
    assert terminal.ok("stop", "set", "--all", "--why", "x", "--json").json["stopped"] == "all"


def test_a_retry_with_the_same_key_is_answered_and_not_made(terminal: Terminal) -> None:
    first = terminal.ok("call", "tiny/look", "-a", "what=x", "--once", "k1", "--json").json
    second = terminal.ok("call", "tiny/look", "-a", "what=x", "--once", "k1", "--json").json
    assert second["result"]["content"] == first["result"]["content"]
    assert second["receipt"]["replayed"] == first["call_id"]
    other = terminal.run("call", "tiny/look", "-a", "what=y", "--once", "k1")
    assert other.code == Exit.FINDING
    assert "other arguments" in other.err


def test_a_session_is_sealed_by_its_name(terminal: Terminal) -> None:
    session = terminal.ok("call", "tiny/look", "-a", "what=x", "--json").json["session"]
    assert f"sealed: {session}" in terminal.ok("sessions", "seal", session).out
    assert terminal.run("sessions", "seal", "none").code == Exit.FINDING


def test_what_is_not_held_can_neither_be_called_off_nor_released(terminal: Terminal) -> None:
    assert "nothing is held" in terminal.ok("escrow", "list").out
    assert terminal.run("escrow", "cancel", "esc_none").code == Exit.FINDING
    assert terminal.run("escrow", "release", "esc_none").code == Exit.FINDING
