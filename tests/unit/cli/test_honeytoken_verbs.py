"""`honeytokens` against a real ward."""

from __future__ import annotations

from cli_world import Terminal, made, terminal
from toolward.cli.exits import Exit

__all__ = ["made", "terminal"]


def test_what_is_planted_is_denied_listed_and_retired(terminal: Terminal) -> None:
    planted = terminal.ok(
        "honeytokens",
        "plant",
        "mail",
        "--source",
        "crm",
        "--tenant",
        "acme",
        "--place",
        "corp.example",
        "--json",
    ).json
    assert planted["value"].endswith("@corp.example")
    refused = terminal.run("call", "tiny/look", "-a", f"what=write to {planted['value']}")
    assert refused.code == Exit.FINDING
    assert "planted" in refused.err
    (incident,) = terminal.ok("incidents", "--open", "--json").json
    assert incident["kind"] == "honeytoken"
    assert "crm (tenant acme)" in incident["text"]
    (row,) = terminal.ok("honeytokens", "list", "--json").json
    assert "value" not in row
    assert planted["value"] in terminal.ok("honeytokens", "list", "--values").out
    assert "crm" in terminal.ok("honeytokens", "list").out
    assert planted["token"] in terminal.ok("honeytokens", "retire", planted["token"]).out
    assert terminal.ok("call", "tiny/look", "-a", f"what=write to {planted['value']}").code == 0
    assert terminal.ok("incidents", "--open", "--json").json == []


def test_the_value_is_the_first_line_so_that_scripts_can_take_it(terminal: Terminal) -> None:
    assert "nothing is planted" in terminal.ok("honeytokens", "list").out
    assert terminal.ok("honeytokens", "plant", "row", "--source", "crm").out.startswith("C-")
    assert terminal.run("honeytokens", "plant", "cat", "--source", "crm").code == Exit.USAGE
    assert terminal.run("honeytokens", "retire", "none").code == Exit.FINDING
