"""Addresses, numbers and dates inside texts, in a form in which they can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from toolward.rules.lazily import pattern

TEXT_MAX: Final = 65_536
"""Characters of one text that are searched."""
_MAIL: Final = pattern(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}")
_LINK: Final = pattern(r"(?:https?|wss?|ftp)://[^\s\"'<>)\]}]{1,2000}", re.IGNORECASE)
_HOST: Final = pattern(
    r"(?<![\w@.])(?:www\.)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,5}(?:[/?#:][^\s\"'<>)]{0,500})?",
    re.IGNORECASE,
)
"""Underscores are in no host that is registered, and in many that people make up."""
_PAGE: Final = pattern(
    r"(?:https?://)?((?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}(?:[/?#][!-~]*)?)", re.IGNORECASE
)
_IBAN: Final = pattern(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_NUMBER: Final = pattern(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\w)|(?<![\w.])\d+(?:\.\d+)?(?![\w])")
_ISO: Final = pattern(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = "|".join(f"{month}[a-z]*" for month in _MONTHS)
_MONTH_FIRST: Final = pattern(
    rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?:,? (\d{{4}}))?\b", re.IGNORECASE
)
_DAY_FIRST: Final = pattern(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\.?(?:,? (\d{{4}}))?\b", re.IGNORECASE
)

Day = tuple[int, int, int]
"""Year (0 if nobody said), month, day."""


def addresses_in(text: str) -> Iterator[str]:
    """Mail addresses, URLs and account numbers, in lower case without spaces."""
    text = text[:TEXT_MAX]
    if "@" in text:
        for word in text.split():
            if "@" in word:
                yield from (found.lower().rstrip(".") for found in _MAIL.findall(word))
    if "://" in text:
        yield from (found.lower().rstrip(".,;:!?/") for found in _LINK.findall(text))
    lowered = text.lower()
    if "www." in lowered:
        yield from (found.lower().rstrip(".,;:!?/") for found in _HOST.findall(text))
    if lowered != text:  # an account begins with capitals
        yield from (found.replace(" ", "").lower() for found in _IBAN.findall(text))


def bare_link(text: str) -> str:
    """`www.x.org/a` of `https://www.x.org/a/`, as people say it; empty where that is no link to a page."""
    found = _PAGE.fullmatch(text)
    return found[1].lower().rstrip("/") if found is not None else ""


def numbers_in(text: str) -> Iterator[float]:
    """Numbers that stand by themselves; `1,200.50` is one."""
    for found in _NUMBER.findall(text[:TEXT_MAX]):
        yield float(found.replace(",", ""))


def days_in(text: str) -> Iterator[Day]:
    """Dates in the usual spellings."""
    text = text[:TEXT_MAX]
    for year, month, day in _ISO.findall(text):
        yield int(year), int(month), int(day)
    for name, day, year in _MONTH_FIRST.findall(text):
        yield int(year or 0), _MONTHS.index(name[:3].lower()) + 1, int(day)
    for day, name, year in _DAY_FIRST.findall(text):
        yield int(year or 0), _MONTHS.index(name[:3].lower()) + 1, int(day)


def same_day(one: Day, other: Day) -> bool:
    """Whether two dates can be the same; one without a year fits any."""
    return one[1:] == other[1:] and (one[0] == other[0] or not one[0] or not other[0])
