"""What a person sees of what an agent wrote: each way to fool a reader, and a control that reads as it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.console.shown import leaves, one_line, parts_of, shown


def marks(text: str) -> list[str]:
    return [part.mark for part in parts_of(text) if part.mark]


@pytest.mark.parametrize(
    "text", ["", "plain", "a b", "naïve café", "Ελλάδα", "Москва", "日本語 です", "1,100 €"]
)
def test_an_honest_text_is_shown_as_it_is(text: str) -> None:
    assert marks(text) == []
    assert shown(text).notes == ()


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("invoice\u202efdp.exe", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2066b\u2069", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("pay\u200bpal.com", "U+200B ZERO WIDTH SPACE"),
        ("pay\u00adpal.com", "U+00AD SOFT HYPHEN"),
        ("a\x1b[2Kb", "U+001B ESCAPE"),
        ("a\x00b", "U+0000 NULL"),
        ("a\x08b", "U+0008 BACKSPACE"),
        ("rm a\rls", "U+000D CARRIAGE RETURN"),
        ("a\u2028b", "U+2028 LINE SEPARATOR"),
        ("a\u00a0b", "U+00A0 NO-BREAK SPACE"),
        ("a\u3164b", "U+3164 HANGUL FILLER"),
        ("a\ufe0fb", "U+FE0F VARIATION SELECTOR-16"),
        ("hi\U000e0041", "U+E0041 TAG LATIN CAPITAL LETTER A"),
        ("a\ue000b", "U+E000"),
        ("a\ud800b", "U+D800"),
        ("a\ufeffb", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("a\nb", "new line"),
        ("a\tb", "tab"),
        ("to: bob" + " " * 300 + "bcc: eve", "300 spaces"),
    ],
)
def test_what_can_not_be_seen_is_named_in_its_place(text: str, mark: str) -> None:
    assert mark in marks(text)


def test_a_pile_of_combining_marks_does_not_cover_other_lines() -> None:
    assert marks("e\u0301\u0323") == []
    assert len(marks("e" + "\u0301" * 40)) == 38


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("p\u0430ypal.com", "mixes Cyrillic and Latin letters in one word"),
        ("g\u03bfogle", "mixes Greek and Latin letters in one word"),
        ("pay 100 \u05d0\u05d1", "right-to-left letters"),
        ("x\u200by", "can not be seen"),
        (" padded", "begins or ends"),
    ],
)
def test_what_is_only_suspicious_is_noted_and_spelt_out_exactly(text: str, note: str) -> None:
    it = shown(text)
    assert any(note in each for each in it.notes)
    assert it.exact.isascii()
    assert json.loads(it.exact) == text


def test_a_very_long_text_shows_its_beginning_and_its_end_and_says_what_is_between() -> None:
    it = shown("to bob" + "x" * 50_000 + "and to eve")
    seen = "".join(part.text for part in it.parts if not part.mark)
    assert seen.startswith("to bob")
    assert seen.endswith("and to eve")
    assert len(seen) < 1_200
    assert any("characters are not shown here" in part.mark for part in it.parts)
    assert "".join(part.text for part in it.rest) == "to bob" + "x" * 50_000 + "and to eve"


def test_nothing_hides_behind_many_line_breaks() -> None:
    it = shown("echo hello" + "\n" * 500 + "rm -rf /")
    seen = "".join(part.text for part in it.parts)
    assert seen.count("\n") < 30
    assert seen.endswith("rm -rf /")


@given(st.text(max_size=300))
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(part.text for part in parts_of(text)) == text


@given(st.text(max_size=300))
def test_a_title_is_one_line_that_can_be_seen(text: str) -> None:
    assert marks(one_line(text).replace("    ", "")) == []
    assert len(one_line(text)) <= 80


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, "literal", "true"),
        (None, "literal", "null"),
        (1.5, "number", "1.5"),
        ({}, "empty", "{}"),
        ([], "empty", "[]"),
    ],
)
def test_a_text_and_what_is_no_text_can_be_told_apart(value: object, kind: str, text: str) -> None:
    it = shown(value)
    assert (it.kind, it.parts[0].text) == (kind, text)
    assert shown(text).kind == "string"


def test_every_leaf_has_its_pointer() -> None:
    value = {"a/b": [1, {"~": "x"}], "empty": {}}
    assert list(leaves(value)) == [("/a~1b/0", 1), ("/a~1b/1/~0", "x"), ("/empty", {})]
