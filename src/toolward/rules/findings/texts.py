"""Every text of a definition with the place where it stands, and how it is shown and compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from toolward.rules.findings.confusable import LATIN

TEXTS_MAX: Final = 20_000
"""Texts of one definition that are looked at; the size of a definition is bounded where it is read."""
EXAMINED_CHARS_MAX: Final = 64_000
"""Of one text whose words are looked at; its characters are all looked at."""
SHOWN_CHARS_MAX: Final = 160
BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5")
"""Letters and signs that are drawn as nothing."""
_SPACES: Final = re.compile(r"\s+")


class Text(NamedTuple):
    """One text; `is_key` for the name of a member, `pointer` then names the member."""

    pointer: str
    text: str
    is_key: bool


def texts_of(definition: Mapping[str, Any]) -> Iterator[Text]:
    """Names of members and texts, in the order in which they stand, at most `TEXTS_MAX`."""
    count = 0
    stack: list[tuple[str, Any]] = [("", definition)]
    while stack and count < TEXTS_MAX:
        pointer, value = stack.pop()
        if isinstance(value, str):
            count += 1
            yield Text(pointer, value, is_key=False)
        elif isinstance(value, Mapping):
            below = [(f"{pointer}/{_escaped(str(name))}", each) for name, each in value.items()]
            for name, (place, _) in zip(value, below, strict=True):
                count += 1
                yield Text(place, str(name), is_key=True)
            stack += reversed(below)
        elif isinstance(value, list):
            stack += reversed([(f"{pointer}/{number}", each) for number, each in enumerate(value)])


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def plain(text: str, *, chars_max: int = EXAMINED_CHARS_MAX) -> str:
    """What a model reads, without disguise.

    Compatibility forms and look-alike letters are folded, what can not be seen is taken out, letters are
    small and spaces single.
    """
    folded = text[:chars_max]
    if not folded.isascii():
        folded = unicodedata.normalize("NFKC", folded)
        folded = "".join(
            LATIN.get(each, each) for each in folded if unicodedata.category(each) not in ("Cf", "Mn")
        )
    return _SPACES.sub(" ", folded.casefold())


def visible(text: str) -> str:
    """`text` so that it can be printed anywhere: everything that is no plain character is escaped."""
    return "".join(each if _shows(each) else code(each) for each in text)


def _shows(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    if character in BLANK:
        return False
    return unicodedata.category(character)[0] in "LNPS" and character.isprintable()


def code(character: str) -> str:
    """How a character is written that is not shown: its code point in braces."""
    return f"\\u{{{ord(character):04X}}}"


def excerpt(text: str, start: int, stop: int) -> str:
    """The part that was found and a little around it, made visible."""
    around = max(0, (SHOWN_CHARS_MAX - (stop - start)) // 2)
    first = max(0, start - around)
    cut = text[first : min(stop + around, first + SHOWN_CHARS_MAX)]
    return ("…" if first else "") + visible(cut) + ("…" if first + len(cut) < len(text) else "")
