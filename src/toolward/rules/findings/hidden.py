"""Characters that a person does not see and a model reads, or that change the order of what is seen."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import Final, NamedTuple

from toolward.rules.findings.texts import BLANK

_JOINERS: Final = "\u200c\u200d"
_MARKS: Final = "\u200e\u200f\u061c"  # direction marks: at home beside letters that run right to left
_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") | frozenset(_MARKS)
_FLAGS: Final = tuple(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(each)) for each in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
"""The flags that are written with tags; every other use of tags hides a text."""
_TAGS: Final = range(0xE0000, 0xE0080)
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_EMOJI_SELECTORS: Final = "\ufe0e\ufe0f"
_TEXT_CONTROLS: Final = "\t\n\r"


class Hidden(NamedTuple):
    """A run of such characters: which kind, and where it stands in the text."""

    kind: str
    start: int
    stop: int


def hidden(text: str) -> Iterator[Hidden]:
    """Every run of characters that can not be seen and have no business where they stand."""
    if text.isascii() and text.isprintable():
        return
    for flag in _FLAGS:
        text = text.replace(flag, "." * len(flag))
    kinds = ((_kind(text, place), place) for place in range(len(text)))
    for kind, run in groupby(kinds, key=lambda each: each[0]):
        places = [place for _, place in run]
        if kind:
            yield Hidden(kind, places[0], places[-1] + 1)


def _kind(text: str, place: int) -> str:
    """What is hidden there, or ''."""
    each = text[place]
    code = ord(each)
    if each.isascii():
        return "" if each.isprintable() or each in _TEXT_CONTROLS else "control"
    if code in _TAGS:
        return "tag"
    if any(code in block for block in _SELECTORS):
        return "" if _selects(text, place) else "selector"
    if each in _BIDI:
        return "" if each in _MARKS and _right_to_left(text, place) else "bidi"
    if each in _JOINERS:
        return "" if _joins(text, place) else "zero-width"
    if each in BLANK:
        return "blank"
    return {"Cf": "zero-width", "Cc": "control", "Zl": "control", "Zp": "control", "Co": "private"}.get(
        unicodedata.category(each), ""
    )


def _selects(text: str, place: int) -> bool:
    """Whether a variation selector stands alone after what it can vary: a sign, or an ideograph."""
    before = text[place - 1] if place else ""
    after = text[place + 1] if place + 1 < len(text) else ""
    if not before or any(after and ord(after) in block for block in _SELECTORS):
        return False
    if text[place] in _EMOJI_SELECTORS:
        return unicodedata.category(before) in ("So", "Sm", "Po", "Nd") or not before.isascii()
    return unicodedata.category(before) == "Lo"


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands between two that are joined: emoji, or letters of scripts that join."""
    before = text[place - 1] if place else ""
    after = text[place + 1] if place + 1 < len(text) else ""
    return _joinable(before) and _joinable(after)


def _joinable(character: str) -> bool:
    if not character or character.isascii():
        return False
    if unicodedata.category(character) == "So" or ord(character) == 0xFE0F:  # noqa: PLR2004 -- emoji selector
        return True
    if 0x1F3FB <= ord(character) <= 0x1F3FF:  # noqa: PLR2004 -- skin tones
        return True
    arabic = unicodedata.bidirectional(character) == "AL"
    return arabic or 0x0900 <= ord(character) <= 0x0DFF  # noqa: PLR2004 -- the Indic scripts


def _right_to_left(text: str, place: int) -> bool:
    near = text[max(0, place - 2) : place + 3]
    return any(unicodedata.bidirectional(each) in ("R", "AL") for each in near if each not in _BIDI)
