"""What is approved in bulk, by nobody who read it, and what waits for somebody who does."""

from __future__ import annotations

import pytest

from toolward.cli.screen import Screen
from toolward.cli.tools import approvable


def row(tool: str, *severities: str) -> dict[str, object]:
    return {"tool": tool, "digest": f"sha256:{tool}", "findings": [{"severity": each} for each in severities]}


ROWS = [row("a/clean"), row("a/noted", "note"), row("a/warned", "note", "warn"), row("a/blocked", "block")]


@pytest.mark.parametrize(
    ("unread", "accept", "approved"),
    [
        (True, False, ["a/clean", "a/noted"]),
        (False, False, ["a/clean", "a/noted", "a/warned"]),
        (True, True, ["a/clean", "a/noted", "a/warned", "a/blocked"]),
    ],
)
def test_a_warning_is_approved_only_once_somebody_could_read_it(
    unread: bool, accept: bool, approved: list[str]
) -> None:
    wanted = approvable(Screen(as_json=True), ROWS, accept_findings=accept, unread=unread)
    assert [each["tool"] for each in wanted] == approved


def test_what_is_left_out_is_named_with_how_to_approve_it(capsys: pytest.CaptureFixture[str]) -> None:
    approvable(Screen(as_json=True), ROWS, accept_findings=False, unread=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "a/warned is left out, since a finding warns and nobody has read it" in said
    assert "approve it by its name" in said
    assert "a/blocked is left out, since a finding blocks" in said
