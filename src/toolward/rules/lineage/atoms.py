"""Identifiers in a text: addresses, URLs, account numbers, ids, numbers, dates, however they are spelled.

A key names a value: the token itself, or, where there are several spellings, a form that all of them share,
marked by a first character that no canonical text holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from toolward.rules.lineage.spelling import squeezed

CHARS_MIN: Final = 3
"""Shorter values are seen everywhere and prove nothing."""
ATOM_CHARS_MAX: Final = 512
"""No identifier that means anything alone is longer; longer runs are left to the runs of characters."""
PART_CHARS_MIN: Final = 6
"""Letters and digits of an identifier that is recognised inside a text: what is shorter is everywhere."""
HIDDEN_DIGITS_MIN: Final = 8
"""Of an identifier of digits alone that is recognised inside a longer run of digits."""
HIDDEN_CHARS_MAX: Final = 30
"""Longer ones hold a whole block of `grams`, wherever they begin."""
APART_CHARS_MAX: Final = 128
"""Longer values are found by the runs of characters in them."""

_MARK: Final = "\x01"
_BRACKETS: Final = str.maketrans(dict.fromkeys("\"'`<>(){}[];|", " "))
_STRIP: Final = ".,:;!?*=&#\u2026"
_PIECES: Final = re.compile(r"[=:,&?#/\\@]+")
_NUMBER: Final = re.compile(
    r"([+-]?)[$\u20ac\u00a3]?(\d{1,3}(?:[,.' _]\d{3})+|\d+)(?:([.,])(\d+))?[$\u20ac\u00a3%]?"
)
_PHONE: Final = re.compile(r"(?<![\w.])(?:\+|00)?\(?\d[\d ()./-]{5,}\d(?!\w)")
_IBAN: Final = re.compile(r"\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,4})?\b")
_IBAN_HEAD: Final = re.compile(r"[a-z]{2}\d{2}")
_UUID: Final = re.compile(
    r"\{?(?:urn:uuid:)?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\}?"
)
_MONTHS: Final = {
    name: number
    for number, full in enumerate(
        [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ],
        1,
    )
    for name in (full, full[:3], *(("sept",) if number == 9 else ()))  # noqa: PLR2004 -- as it is also cut
}
_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATES: Final = re.compile(
    rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?[ .-]+(?:of )?({_MONTH})\.?,?[ -]+(\d{{4}})"
    rf"|({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}))\b"
)
_NUMERIC_DATE: Final = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:[t ].*)?")
_COMPACT_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})t.*")
_HOST_OF: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@]+)")
YEARS: Final = range(1000, 3000)


def tokens_of(canonical: str) -> list[str]:
    """The words of a canonical text, what stands at their edges still on them."""
    return canonical.translate(_BRACKETS).split()


def identifiers(tokens: list[str]) -> Iterator[str]:
    """The tokens that are more than words, without the marks at their edges."""
    for token in tokens:
        if not token.isalpha() and len(bare := token.strip(_STRIP)) >= CHARS_MIN and not bare.isalpha():
            yield bare


def pieces_of(token: str) -> Iterator[str]:
    """What stands between the joints of a token: `KEY=value`, the parts of a URL."""
    if not token.isalnum() and len(token) <= ATOM_CHARS_MAX:
        parts = _PIECES.split(token)
        if len(parts) > 1:
            for part in parts:
                yield part.strip(_STRIP)
        if "=" in token:
            yield token.partition("=")[2].strip(_STRIP)


def spelled(token: str) -> Iterator[str]:
    """The keys that other spellings of an identifier give as well; each names what the token means whole."""
    if len(token) > ATOM_CHARS_MAX or not any(map(str.isdigit, token)):
        return
    if (number := _number(token)) is not None:
        yield number
    if (date := _NUMERIC_DATE.fullmatch(token)) is not None:
        yield from _dates(date[1], date[3], date[4])
    elif (date := _COMPACT_DATE.fullmatch(token)) is not None:
        yield from _dates(date[1], date[2], date[3])
    if (uuid := _UUID.fullmatch(token)) is not None:
        yield f"{_MARK}u{uuid[1].replace('-', '')}"
    elif _IBAN.fullmatch(token) is not None:
        yield f"{_MARK}i{squeezed(token)}"
    elif token[0] in "+0(" and (phone := _PHONE.fullmatch(token)) is not None:
        yield _phone(phone[0])


def spelled_apart(canonical: str, tokens: list[str]) -> Iterator[str]:
    """As `spelled`, for what has spaces in it: grouped accounts, telephone numbers, dates in words."""
    words = {token.strip(_STRIP) for token in tokens}
    if not _MONTHS.keys().isdisjoint(words):
        for found in _DATES.finditer(canonical):
            day, month, year = found.group(1, 2, 3) if found[1] else found.group(5, 4, 6)
            yield from _dates(year, str(_MONTHS[month]), day)
    heads = [token for token in tokens if len(token) == 4 and _IBAN_HEAD.fullmatch(token)]  # noqa: PLR2004 -- DE12
    if heads:
        for found in _IBAN.finditer(canonical):
            yield f"{_MARK}i{squeezed(found[0])}"
    if sum(token[0] in "+(" or token[0].isdigit() for token in tokens) > 1:
        for found in _PHONE.finditer(canonical):
            yield _phone(found[0])


def apart_key(token: str) -> str:
    """The key of an identifier whose joints may be set elsewhere or left out; "" if it is no such."""
    letters = squeezed(token) if len(token) <= APART_CHARS_MAX else ""
    return f"{_MARK}~{letters}" if len(letters) >= PART_CHARS_MIN else ""


def letters_of(key: str) -> str:
    """The letters and digits that an `apart_key` stands for; "" of any other key."""
    return key[2:] if key[:2] == f"{_MARK}~" else ""


def hides(letters: str) -> bool:
    """Whether a squeezed identifier says enough to be recognised with other letters glued to it."""
    digits = sum(map(str.isdigit, letters))
    if not digits or len(letters) > HIDDEN_CHARS_MAX:
        return False
    return len(letters) >= (HIDDEN_DIGITS_MIN if digits == len(letters) else PART_CHARS_MIN)


def host_in(token: str) -> str:
    """The host that a URL names, "" if it is none."""
    found = _HOST_OF.match(token) if "://" in token else None
    return found[1] if found is not None else ""


def tells(token: str) -> bool:
    """Whether an identifier says enough to be recognised inside another text: no year, no date, no time."""
    if len(token) < PART_CHARS_MIN or not any(map(str.isalnum, token)):
        return False
    if _NUMERIC_DATE.fullmatch(token) is not None:
        return False
    if "@" in token[1:-1]:
        return True
    letters = squeezed(token)
    return len(letters) >= PART_CHARS_MIN and any(map(str.isdigit, letters))


def _number(token: str) -> str | None:
    """One form for `1,500.00`, `1500`, `1.500,00` and `$1500`, if it is a number of at least three digits."""
    found = _NUMBER.fullmatch(token)
    if found is None:
        return None
    sign, whole, mark, rest = found.groups()
    grouped = len(whole) > 3 and not whole.isdigit()  # noqa: PLR2004 -- a group of thousands
    if grouped and mark and mark == whole[-4]:
        return None  # 1,500,00 is no number
    digits = "".join(filter(str.isdigit, whole)).lstrip("0") or "0"
    decimals = (rest or "").rstrip("0")
    text = f"{'-' if sign == '-' else ''}{digits}{'.' if decimals else ''}{decimals}"
    return f"{_MARK}n{text}" if len(digits + decimals) >= CHARS_MIN else None


def _dates(first: str, second: str, third: str) -> Iterator[str]:
    """Year first or last; where day and month can not be told apart, both readings."""
    if len(first) == 4:  # noqa: PLR2004 -- a year
        year, readings = int(first), [(int(second), int(third))]
    elif len(third) == 4:  # noqa: PLR2004 -- a year
        year, readings = int(third), [(int(second), int(first)), (int(first), int(second))]
    else:
        return
    for month, day in dict.fromkeys(readings):
        if year in YEARS and 1 <= month <= 12 and 1 <= day <= 31:  # noqa: PLR2004 -- of a calendar
            yield f"{_MARK}d{year:04}-{month:02}-{day:02}"


def _phone(text: str) -> str:
    digits = "".join(filter(str.isdigit, text))
    if text.startswith("+"):
        return f"{_MARK}t{digits}"
    return f"{_MARK}t{digits.removeprefix('00')}"
