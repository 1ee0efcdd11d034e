"""Running text where only a name, a number or a date belongs.

A server vouches for a field, and whoever may fill it in words it: a channel is called what its maker calls
it. A value that reads like sentences, an order or a link is therefore nobody's word, whatever the manifest
says of its place. Fields that are there for running text (a text, a body, a description, a whole answer) keep
the label that they were given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from toolward.model.label import TRUSTED, UNTRUSTED, Label
from toolward.rules.lazily import pattern

RUNNING_TEXT: Final = "text body content contents message description comment summary snippet html markdown"
"""Names of members that hold running text."""
NAME_CHARS_MAX: Final = 200
"""Of a name; what is longer is text."""
NAME_WORDS_MAX: Final = 8
"""Words between two slashes: more than names of people, companies, channels and files have."""
PATH_WORDS_MAX: Final = 24
"""Words of a whole path."""
IDEOGRAPHS_A_WORD: Final = 3
"""Of scripts that are written without spaces."""
LOOKED_CHARS_MIN: Final = 16
"""What is shorter tells nobody to do anything that is worth telling."""
PLACES_REMEMBERED: Final = 16_384
"""Shapes of pointers that stay read; a tool's results have some dozens."""
PLACE_CHARS_MAX: Final = 512
"""Of a pointer that stays read: the names in it are the server's to choose, and may be of any length."""
_INDEX: Final = pattern(r"/\d+(?=/|$)")
_WHOLE_ANSWER: Final = pattern(
    r"(?:/(?:content|contents|messages)/\d+/(?:content/)?text|/structuredContent/result)(?=/|$)"
)
"""Where an answer that is one text stands; what is inside of one that is JSON has names of its own."""
_TEXT_NAMES: Final = frozenset(RUNNING_TEXT.split())
_WORD: Final = pattern(r"[^\W\d_]{2,}")
_IDEOGRAPH: Final = pattern("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCE: Final = pattern("[a-z]{4}[.!?]['\")]?\\s+\\S|[\u3002\uff01\uff1f]")
_MARKUP: Final = pattern(r"</?[A-Za-z][\w-]{0,40}\s*/?>|\]\(|\{\{")
_ADDRESS: Final = pattern(r"[\w.+%-]{1,64}@[\w-]{1,63}\.\w|(?:https?|ftp)://\S|\bwww\.\w", re.IGNORECASE)
_MAILBOX: Final = pattern(r"\"?[^\"<>@:/]{1,80}\"? ?<[^<>\s]{3,254}>")
_SEPARATORS: Final = pattern(r"[/\\]")


def as_worded(
    fields: list[tuple[str, str, Label]], default: Label, labels: Mapping[str, Label]
) -> list[tuple[str, str, Label]]:
    """Pointer, text and label of each value, those that are worded no longer trusted.

    Where nothing is vouched for, nothing is looked at.
    """
    if default.integrity is TRUSTED or any(each.integrity is TRUSTED for each in labels.values()):
        return [(pointer, text, lowered(pointer, text, label)) for pointer, text, label in fields]
    return fields


def lowered(pointer: str, text: str, label: Label) -> Label:
    """The label of a value: that of its place, or untrusted where it is worded."""
    if label.integrity is TRUSTED and is_worded(pointer, text):
        return Label(UNTRUSTED, label.confidentiality)
    return label


def is_worded(pointer: str, text: str) -> bool:
    """Whether a value of a field that is there for something else holds running text, an order or a link."""
    if len(text) < LOOKED_CHARS_MIN or (text.isascii() and text.isalnum()):
        return False
    place = _INDEX.sub("/0", pointer)
    if _read_place(place) if len(place) <= PLACE_CHARS_MAX else _is_for_text(place):
        return False
    if len(text) > NAME_CHARS_MAX or "\n" in text or _SENTENCE.search(text) or _MARKUP.search(text):
        return True
    words = [_count(part) for part in _SEPARATORS.split(text)]
    if max(words) > NAME_WORDS_MAX or sum(words) > PATH_WORDS_MAX:
        return True
    return " " in text and _ADDRESS.search(text) is not None and _MAILBOX.fullmatch(text) is None


def _is_for_text(pointer: str) -> bool:
    """Whether running text belongs there: in a field of that name, or in an answer that is one text."""
    answer = _WHOLE_ANSWER.match(pointer)
    inside = pointer[answer.end() :] if answer is not None else pointer
    return (answer is not None and not inside) or _name_of(inside) in _TEXT_NAMES


_read_place: Final = lru_cache(maxsize=PLACES_REMEMBERED)(_is_for_text)


def _count(text: str) -> int:
    """How many words it has."""
    return len(_WORD.findall(text)) + len(_IDEOGRAPH.findall(text)) // IDEOGRAPHS_A_WORD


def _name_of(pointer: str) -> str:
    """The member that holds the value, or holds the list that it is in."""
    return next((part.lower() for part in reversed(pointer.split("/")) if not part.isdigit()), "")
