"""What somebody else wrote, so that a person who reads it is not fooled. Pure.

Whatever can not be seen, looks like something else, or moves what stands around it is named in its place:
controls, bidirectional formatting, joiners, tags, unusual spaces, long runs of spaces and of combining marks.
What is only suspicious (letters of two scripts in one word, right-to-left letters) is shown, with a note.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

HEAD_CHARS: Final = 900
TAIL_CHARS: Final = 200
LINES_MAX: Final = 24
WHOLE_CHARS_MAX: Final = 60_000
"""Past this a value is not shown whole on the page; its JSON twin has it."""
COMBINING_MAX: Final = 2
"""Marks over one letter that some language really uses; a pile of them covers other lines."""
_SPACES = re.compile(r" {4,}")
_WORD = re.compile(r"[^\W\d_]+")
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_IGNORABLE = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),  # braille blank
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
"""Shown as nothing, or as blank, though their category does not say so (Unicode, Default_Ignorable)."""


class Part(Struct, frozen=True):
    """A piece of text. With a `mark` the text is not shown: the mark stands in its place."""

    text: str
    mark: str = ""


class Shown(Struct, frozen=True, kw_only=True):
    """One value as a page shows it."""

    kind: str  # string, number, literal, empty
    parts: tuple[Part, ...]
    rest: tuple[Part, ...] = ()  # the whole text, where `parts` is only its beginning and end
    notes: tuple[str, ...] = ()
    exact: str = ""  # in ASCII, where the parts could be read in two ways
    size: int = 0


def shown(value: Any, *, brief: bool = False) -> Shown:
    """A JSON leaf, or an empty container; of a long text only the ends where it is to be `brief`."""
    match value:
        case str():
            return _shown_text(value, HEAD_CHARS + TAIL_CHARS if brief else WHOLE_CHARS_MAX)
        case bool() | None:
            return Shown(kind="literal", parts=(Part(json.dumps(value)),))
        case int() | float():
            return Shown(kind="number", parts=(Part(json.dumps(value)),))
        case _:
            return Shown(kind="empty", parts=(Part("{}" if isinstance(value, dict) else "[]"),))


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its JSON pointer (RFC 6901); empty containers are leaves."""
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from leaves(below, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for place, below in enumerate(value):
            yield from leaves(below, f"{pointer}/{place}")
    else:
        yield pointer, value


def parts_of(text: str) -> tuple[Part, ...]:
    """The text in pieces; joined, the pieces' texts are the text again."""
    found: list[Part] = []
    plain: list[str] = []
    marks = 0
    for piece in _pieces(text):
        first = piece[0]
        marks = marks + 1 if unicodedata.combining(first) or unicodedata.category(first) == "Me" else 0
        mark = _mark(piece) or (_named(first) if marks > COMBINING_MAX else "")
        if not mark:
            plain.append(piece)
            continue
        if plain:
            found.append(Part("".join(plain)))
            plain = []
        found.append(Part(piece, mark))
    if plain:
        found.append(Part("".join(plain)))
    return tuple(found)


def one_line(text: str, chars_max: int = 80) -> str:
    """For titles and other places that take no marks: what can not be seen is left out, the rest cut."""
    clean = "".join(part.text if not part.mark else " " for part in parts_of(text[: 4 * chars_max]))
    if len(text) > 4 * chars_max:
        return clean[: chars_max - 1] + "…"
    return clean if len(clean) <= chars_max else clean[: chars_max - 1] + "…"


def notes_of(text: str) -> tuple[str, ...]:
    """What a reader should know about the text as a whole."""
    notes = []
    if any(part.mark for part in parts_of(text) if part.text not in ("\n", " ") and part.text.strip(" ")):
        notes.append("holds characters that can not be seen; each is named in its place")
    if any(unicodedata.bidirectional(char) in ("R", "AL") for char in text):
        notes.append("holds right-to-left letters, so the order on screen is not the order in the text")
    mixed = next((word for word in _WORD.findall(text) if len(_scripts(word)) > 1), "")
    if mixed:
        notes.append(f"mixes {' and '.join(sorted(_scripts(mixed)))} letters in one word")
    if text != text.strip():
        notes.append("begins or ends with a space or line break")
    return tuple(notes)


def _shown_text(text: str, looked_at: int) -> Shown:
    whole = len(text) <= HEAD_CHARS + TAIL_CHARS and text.count("\n") < LINES_MAX
    notes = notes_of(text if len(text) <= looked_at else text[:looked_at] + text[-TAIL_CHARS:])
    return Shown(
        kind="string",
        parts=parts_of(text) if whole else _shortened(text),
        rest=() if whole or len(text) > looked_at else parts_of(text),
        notes=notes,
        exact=json.dumps(text) if len(text) <= looked_at and (notes or not text.isascii()) else "",
        size=len(text),
    )


def _shortened(text: str) -> tuple[Part, ...]:
    """Beginning and end, so that nothing can be hidden behind much else."""
    head = "".join(text[:HEAD_CHARS].splitlines(keepends=True)[: LINES_MAX - 4])
    tail = "".join(text[len(head) :][-TAIL_CHARS:].splitlines(keepends=True)[-3:])
    left_out = len(text) - len(head) - len(tail)
    return (*parts_of(head), Part("", f"{left_out:,} characters are not shown here"), *parts_of(tail))


def _pieces(text: str) -> Iterator[str]:
    """Single characters, and long runs of spaces as one."""
    at = 0
    for run in _SPACES.finditer(text):
        yield from text[at : run.start()]
        yield run.group()
        at = run.end()
    yield from text[at:]


def _mark(piece: str) -> str:
    """What stands in the place of a piece that can not be seen for what it is, else ''."""
    if len(piece) > 1:
        return f"{len(piece)} spaces"
    if piece == "\n":
        return "new line"
    if piece == "\t":
        return "tab"
    code = ord(piece)
    category = unicodedata.category(piece)
    ignorable = any(first <= code <= last for first, last in _IGNORABLE)
    if category in _UNSEEN or ignorable or (category == "Zs" and piece != " "):
        return _named(piece)
    return ""


def _named(char: str) -> str:
    name = unicodedata.name(char, "") or _CONTROLS.get(ord(char), "")
    return f"U+{ord(char):04X} {name}".rstrip()


def _scripts(word: str) -> frozenset[str]:
    """The alphabets of a word's letters, by the first word of their names; Han and kana go together."""
    found = {unicodedata.name(char, "").partition(" ")[0].title() for char in word}
    return frozenset(found & _ALPHABETS)


_ALPHABETS: Final = frozenset({"Latin", "Cyrillic", "Greek", "Armenian", "Cherokee", "Coptic", "Fullwidth"})
"""Alphabets whose letters look alike, so that a word of two of them is most likely meant to deceive."""
_CONTROLS: Final = {0x00: "NULL", 0x08: "BACKSPACE", 0x0D: "CARRIAGE RETURN", 0x1B: "ESCAPE", 0x7F: "DELETE"}
