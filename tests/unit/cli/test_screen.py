"""What agents and servers wrote does not steer the terminal of whoever reads it."""

from __future__ import annotations

import orjson
import pytest

from toolward.cli.screen import Screen, visible

HOSTILE = "read\x1b]0;owned\x07\x1b[2J\x9b1A\r\u202egnol\u2066\x7f"


def test_what_would_steer_a_terminal_is_spelt_out() -> None:
    assert visible("a\tb\nc ü 日") == "a\tb\nc ü 日"
    shown = visible(HOSTILE)
    assert shown.isprintable()
    assert shown.startswith("read\\u001b]0;owned\\u0007")


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_that_is_shown_holds_control_characters(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    screen = Screen(as_json)
    screen.say(HOSTILE)
    screen.warn(HOSTILE)
    screen.table(["tool"], [[HOSTILE]])
    screen.diff([f"+{HOSTILE}"])
    screen.result({HOSTILE: HOSTILE})
    screen.line([HOSTILE])
    out, err = capsys.readouterr()
    assert "gnol" in out
    for text in (out, err):
        assert not [character for character in text if not character.isprintable() and character != "\n"]


def test_json_means_the_same_once_it_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=True).result({HOSTILE: [HOSTILE]})
    assert orjson.loads(capsys.readouterr().out) == {HOSTILE: [HOSTILE]}
