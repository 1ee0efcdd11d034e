"""Identifiers in a text: addresses, URLs, account numbers, ids, numbers, dates, however they are spelled.

A key names a value: the token itself, or, where there are several spellings, a form that all of them share,
marked by a first character that no canonical text holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import filterfalse
from string import ascii_letters
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
UUID_CHARS: Final = 32
"""Without its dashes."""
LONG_NUMBER: Final = 9
"""Digits behind `00` that may be a telephone number, written to be dialled from abroad."""
APART_CHARS_MAX: Final = 128
"""Longer values are found by the runs of characters in them."""
APART_TEXT_CHARS_MAX: Final = 16_384
"""Of one text in which identifiers with spaces in them are looked for."""
DAYS_REMEMBERED: Final = 4_096
"""Days whose key stays known: rows of a session name the same few again and again."""
ANCHOR: Final = 4
"""Letters up to its last digit, by which an identifier inside a longer run is found: ids that are counted
up differ there."""

_MARK: Final = "\x01"
_TO_SPACE: Final = bytes.maketrans(b"\"'`<>(){}[];|", b" " * 13)
"""No byte of a longer character is one of them."""
_TO_PIECES: Final = str.maketrans(dict.fromkeys("=:,", " "))
_STRIP: Final = ".,:;!?*=&#\u2026"
_TO_ALL_PIECES: Final = bytes.maketrans(b"=:,&?#/\\", b" " * 8)
_PIECES: Final = re.compile(r"[=:,&?#/\\]+")
_NAMES: Final = ("january", "february", "march", "april", "may", "june", "july", "august", "september")
_MORE: Final = ("october", "november", "december")
_MONTHS: Final = {
    **{name: number for number, name in enumerate((*_NAMES, *_MORE), 1)},
    **{name[:3]: number for number, name in enumerate((*_NAMES, *_MORE), 1)},
    "sept": 9,
}
_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_IN_WORDS: Final = re.compile(
    rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?[ .-]+(?:of )?({_MONTH})\.?,?[ -]+(\d{{4}})"
    rf"|({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}))\b"
)
_PHONE: Final = re.compile(
    r"[+(\d](?<![\w.].)"  # first of all what it may begin with: that is looked for at once
    r"(?:(?<=\+)\(?\d|(?<=\()\d|(?<=\d))[\d ()./-]{5,}\d(?!\w)"
)
_PHONE_BEGINS: Final = re.compile(r"\d[)./-]? [(]?\d")
_BEGINS_NUMBER: Final = frozenset("0123456789+")
_IBAN: Final = re.compile(r"\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,4})?\b")
_IBAN_HEAD: Final = re.compile(r"[a-z]{2}\d{2}")
_SPELLINGS: Final = re.compile(
    r"^(?:"
    r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:t.*)?"  # 1-4: a date, perhaps with its time
    r"|(\d{4})(\d{2})(\d{2})t.*"  # 5-7: a compact one, told from a number by its time
    r"|([+-]?)[$\u20ac\u00a3]?(\d{1,3}(?:[,.'_]\d{3})+|\d+)(?:([.,])(\d+))?[$\u20ac\u00a3%]?"  # 8-11
    r"|\{?(?:urn:uuid:)?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\}?"  # 12
    r"|([a-z]{2}\d{2}(?:-?[a-z0-9]{4}){2,7}(?:-?[a-z0-9]{1,4})?)"  # 13: an account
    r"|((?:\+|00)\(?\d[\d()./-]{5,}\d)"  # 14: a telephone number
    r"|[a-z][a-z0-9+.-]*://(?:[^/?#@\n]*@)?([^/?#:@\n]+).*"  # 15: the host of a URL
    r")$",
    re.MULTILINE,
)
_YEARS: Final = range(1000, 3000)
_DATE: Final = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}(?:[t ].*)?|\d{8}t.*")


def tokens_of(canonical: str) -> list[str]:
    """The words of a canonical text, what stands at their edges still on them."""
    return canonical.encode().translate(_TO_SPACE).decode().split()


def signs_of(tokens: list[str]) -> list[str]:
    """The tokens that are not letters alone."""
    return list(filterfalse(str.isalpha, tokens))


def identifiers(signs: list[str]) -> set[str]:
    """What is more than words among `signs`, and the parts of `KEY=value` and of lists."""
    if not signs:
        return set()
    bare = {each.strip(_STRIP) for each in signs}
    found = {each for each in bare if len(each) >= CHARS_MIN and not each.isalpha()}
    text = " ".join(found)
    if "," in text or "=" in text or ":" in text:
        parts = text.translate(_TO_PIECES).split()
        found.update([each for each in parts if len(each) >= CHARS_MIN and not each.isalpha()])
        if "=" in text:
            found.update([each.partition("=")[2] for each in bare if "=" in each])
    return found


def keys_in(canonical: str, tokens: list[str]) -> set[str]:
    """The keys of all identifiers in a text of these tokens."""
    signs = signs_of(tokens)
    if not signs:
        return set()
    told = identifiers(signs)
    return told | spellings(told, canonical, tokens, signs)


def spellings(told: set[str], canonical: str, tokens: list[str], signs: list[str]) -> set[str]:
    """The keys of other spellings of the identifiers in a text: of those `told`, and of what has spaces."""
    found = set(spelled(told))
    if len(tokens) > 1:
        found.update(spelled_apart(canonical, tokens, signs))
    return found


def pieces_of(token: str) -> list[str]:
    """What stands between the joints of a token: `KEY=value`, the parts of a URL or a path."""
    if token.isalnum() or len(token) > ATOM_CHARS_MAX:
        return []
    parts = _PIECES.split(token)
    return [part.strip(_STRIP) for part in parts] if len(parts) > 1 else []


def all_pieces(tokens: Iterable[str]) -> list[str]:
    """`pieces_of` each, and what there is of those that have none."""
    pieces = " ".join(tokens).encode().translate(_TO_ALL_PIECES).decode().split()
    return [each.strip(_STRIP) for each in pieces]


def spelled(tokens: set[str]) -> list[str]:
    """The keys that other spellings of these identifiers give as well, where they differ from the token.

    A number is its digits; so that a plain one needs no key of its own, it has no mark.
    """
    if not tokens:
        return []
    lines = "\n".join(
        [
            each
            for each in tokens
            if CHARS_MIN <= len(each) <= ATOM_CHARS_MAX
            and not each.isdigit()
            and (
                (len(each) >= UUID_CHARS and " " not in each)
                or (
                    each[2:4].isdigit() or "://" in each  # an account, an address
                    if each[0].isalpha()
                    else not each.isalnum() or each[:8].isdigit()  # a day without joints
                )
            )
        ]
    )
    keys = [_phone(each) for each in tokens if each[:2] == "00" and each.isdigit() and each[LONG_NUMBER:]]
    if not lines:
        return keys
    for found in _SPELLINGS.finditer(lines):
        kind = found.lastindex or 0
        if kind <= _LAST_OF_DATE:
            keys += _dates(found[1], found[3], found[4])
        elif kind <= _LAST_OF_COMPACT:
            keys += _dates(found[5], found[6], found[7])
        elif kind <= _LAST_OF_NUMBER:
            keys += _number(found)
        elif kind == _UUID_GROUP:
            keys.append(f"{_MARK}u{found[kind].replace('-', '')}")
        elif kind == _IBAN_GROUP:
            keys.append(f"{_MARK}i{squeezed(found[kind])}")
        elif kind == _PHONE_GROUP:
            keys.append(_phone(found[kind]))
        else:
            keys.append(found[kind])
    return keys


def may_be_spelled(canonical: str) -> bool:
    """Whether a value may have other spellings; cheap, and wrong on the safe side."""
    return (
        not canonical[0].isalpha()
        or canonical[2:4].isdigit()  # an account
        or canonical[-4:].isdigit()  # a date in words
        or len(canonical) >= UUID_CHARS
        or "://" in canonical
    )


_LAST_OF_DATE: Final = 4
_LAST_OF_COMPACT: Final = 7
_LAST_OF_NUMBER: Final = 11
_UUID_GROUP: Final = 12
_IBAN_GROUP: Final = 13
_PHONE_GROUP: Final = 14


def spelled_apart(canonical: str, tokens: list[str], signs: list[str]) -> Iterator[str]:
    """As `spelled`, for what has spaces in it: grouped accounts, telephone numbers, dates in words."""
    text = canonical[:APART_TEXT_CHARS_MAX]
    digits = [each for each in signs if each[0] in _BEGINS_NUMBER]
    if not digits:
        return
    if len(digits) > 1 and not _MONTHS.keys().isdisjoint([*tokens, *[each[:3] for each in signs]]):
        for found in _IN_WORDS.finditer(text):
            yield from _in_words(found)
    if len(digits) > 1 and _PHONE_BEGINS.search(text):
        for found in _PHONE.finditer(text):
            yield _phone(found[0])
    if any([_IBAN_HEAD.fullmatch(each) for each in signs if len(each) == 4]):  # noqa: C419, PLR2004 -- DE12
        for found in _IBAN.finditer(text):
            yield f"{_MARK}i{squeezed(found[0])}"


def spelled_whole(canonical: str) -> Iterator[str]:
    """As `spelled_apart`, where the whole text is the one identifier."""
    if len(canonical) > APART_CHARS_MAX:
        return
    if (found := _IN_WORDS.fullmatch(canonical)) is not None:
        yield from _in_words(found)
    elif _IBAN.fullmatch(canonical) is not None:
        yield f"{_MARK}i{squeezed(canonical)}"
    elif (" " in canonical or canonical[0] == "+") and _PHONE.fullmatch(canonical) is not None:
        yield _phone(canonical)


def _in_words(found: re.Match[str]) -> tuple[str, ...]:
    day, month, year = found.group(1, 2, 3) if found[1] else found.group(5, 4, 6)
    return _dates(year, str(_MONTHS[month]), day)


def apart_key(token: str) -> str:
    """The key of an identifier whose joints may be set elsewhere or left out; "" if it is no such."""
    return apart_key_of(token, squeezed(token)) if len(token) <= APART_CHARS_MAX else ""


def apart_key_of(token: str, letters: str) -> str:
    """The same, where the letters and digits of it are at hand."""
    short = len(token) <= APART_CHARS_MAX and len(letters) >= PART_CHARS_MIN
    return f"{_MARK}~{letters}" if short else ""


def apart_keys(lines: str) -> list[str]:
    """The same of each line of letters and digits, of those that are too short as well."""
    return [f"{_MARK}~{letters}" for letters in lines.split("\n")]


def letters_of(key: str) -> str:
    """The letters and digits that an `apart_key` stands for; "" of any other key."""
    return key[2:] if key[:2] == f"{_MARK}~" else ""


def hides(letters: str) -> bool:
    """Whether a squeezed identifier says enough to be recognised with other letters glued to it."""
    if letters.isalpha() or len(letters) > HIDDEN_CHARS_MAX:
        return False
    return len(letters) >= (HIDDEN_DIGITS_MIN if letters.isdigit() else PART_CHARS_MIN)


def last_digit(letters: str) -> int:
    """Where the last digit stands in letters that hold one."""
    if letters.isascii():
        return max(len(letters.rstrip(ascii_letters)) - 1, 0)
    return next((at for at in range(len(letters) - 1, -1, -1) if letters[at].isdigit()), 0)


def tells(token: str, letters: str) -> bool:
    """Whether an identifier says enough to be recognised inside another text: no year, no date, no time."""
    if len(token) < PART_CHARS_MIN:
        return False
    if "@" in token[1:-1]:
        return True
    return len(letters) >= PART_CHARS_MIN and not letters.isalpha() and _DATE.fullmatch(token) is None


def is_spelling(key: str) -> bool:
    """Whether a key is a form that several spellings share, and not what stands in a text."""
    return key[:1] == _MARK


def is_date(key: str) -> bool:
    """Whether a key names a day: beside other words that is no secret."""
    return key[:2] == f"{_MARK}d"


def may_be_day(value: str) -> bool:
    """Whether a value is a date, with its time perhaps; not one in words."""
    return _DATE.fullmatch(value) is not None


def _number(found: re.Match[str]) -> list[str]:
    """One form for `1,500.00`, `1500`, `1.500,00` and `$1500`, of at least three digits."""
    sign, whole, mark, rest = found.group(8, 9, 10, 11)
    if mark and not whole.isdigit() and mark == whole[-4]:
        return []  # 1,500,00 is no number
    digits = (whole if whole.isdigit() else "".join(filter(str.isdigit, whole))).lstrip("0") or "0"
    decimals = rest.rstrip("0") if rest else ""
    if len(digits) + len(decimals) < CHARS_MIN:
        return []
    return [f"{'-' if sign == '-' else ''}{digits}{'.' if decimals else ''}{decimals}"]


@lru_cache(maxsize=DAYS_REMEMBERED)
def _dates(first: str, second: str, third: str) -> tuple[str, ...]:
    """Year first or last; where day and month can not be told apart, both readings."""
    if len(first) == 4:  # noqa: PLR2004 -- a year
        return _date(first, second, third)
    if len(third) != 4:  # noqa: PLR2004 -- a year
        return ()
    if first == second:
        return _date(third, second, first)
    return _date(third, second, first) + _date(third, first, second)


def _date(year: str, month: str, day: str) -> tuple[str, ...]:
    """Nothing where no calendar has such a day."""
    y, m, d = int(year), int(month), int(day)
    if y not in _YEARS or not (1 <= m <= 12 and 1 <= d <= 31):  # noqa: PLR2004 -- of a calendar
        return ()
    return (f"{_MARK}d{y}-{m:02}-{d:02}",)


def _phone(text: str) -> str:
    digits = "".join(filter(str.isdigit, text))
    return f"{_MARK}t{digits if text.startswith('+') else digits.removeprefix('00')}"
