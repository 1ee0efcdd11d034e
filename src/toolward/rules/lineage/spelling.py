"""One form for what is one value to a reader: case, width, invisible characters and white space dropped."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ROUNDS_MAX: Final = 4
"""Compositions can open others; more rounds than this change nothing in any assigned character."""
_INVISIBLE: Final = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""Default ignorable characters (Unicode, DerivedCoreProperties), controls, and halves of surrogate pairs."""
_CONTROLS: Final = dict.fromkeys((*range(9), *range(14, 28), 127))
_NO_LETTER: Final = bytes(each for each in range(128) if not chr(each).isalnum())
_NO_LETTER_NOR_BREAK: Final = _NO_LETTER.replace(b"\n", b"")
_BETWEEN: Final = re.compile(r"[\W_]+")
_BETWEEN_IN_LINE: Final = re.compile(r"[^\w\n]+|_+")


def canonical_text(text: str) -> str:
    """`text` as values are compared: NFKC, case folded, without what is not seen, white space as one space.

    Idempotent. Two texts that a reader takes for the same give the same, but for letters that only look
    alike.
    """
    if text.isascii():
        if text.isprintable():
            text = text.lower().strip(" ")
            return text if "  " not in text else " ".join(text.split())
        text = text.translate(_CONTROLS).lower()
    else:
        for _ in range(ROUNDS_MAX):
            before = text
            text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
            if text == before:
                break
    return " ".join(text.split())


def canonical_texts(texts: list[str]) -> list[str]:
    """`canonical_text` of each: of many plain ones at once."""
    joined = "\n".join(texts)
    spaced = f" {joined} ".replace("\n", " ")
    plain = joined.isascii() and spaced.isprintable() and "  " not in spaced
    if plain and joined.count("\n") == len(texts) - 1:
        return joined.lower().split("\n")
    return [canonical_text(each) for each in texts]


def squeezed(canonical: str) -> str:
    """The letters and digits of a canonical text alone, so that what was put between them does not count."""
    if canonical.isascii():
        return canonical.encode().translate(None, _NO_LETTER).decode()  # a third of what str.translate takes
    return _BETWEEN.sub("", canonical)


def squeezed_lines(canonicals: str) -> str:
    """`squeezed` of canonical texts, one a line: the breaks between them stay."""
    if canonicals.isascii():
        return canonicals.encode().translate(None, _NO_LETTER_NOR_BREAK).decode()
    return _BETWEEN_IN_LINE.sub("", canonicals)
