"""Whether an address is the only one of its sort in some texts; where that can not be told, it is not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from toolward.rules.integrity.atoms import addresses_in
from toolward.rules.lazily import pattern
from toolward.rules.lineage.records import MEMBER_CHARS_MAX

ACCOUNT_DIGITS_MIN: Final = 6
"""In the first characters of what may be an account number; less is a word with a number behind it."""
_ACCOUNT_CHARS: Final = 15
"""The shortest IBAN (Norway's)."""
_SPELLED_CHARS: Final = 48
"""The longest IBAN (34) with its separators."""
_PART: Final = pattern(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
"""`sendMoney` and `send_money` are `send`, `money`."""
_ACCOUNT: Final = pattern(
    r"(?:(?<![a-z0-9])|(?<=iban))[a-z]{2}\d{2}(?=\W{0,3}[a-z0-9])|(?<![a-z0-9])(?-i:[A-Z]{2}) \d{2}(?=\W)",
    re.IGNORECASE,
)
_DOMESTIC: Final = pattern(
    r"\b(?:account|acct|a/c|sort code|routing|bic)\b\W{0,5}(?:(?:no|nr|number)\b\W{0,5})?\d[\d -]{5,}",
    re.IGNORECASE,
)
"""A number by itself, as one bank's customers know it."""
_JOINS: Final = pattern(r"\W+")
_AT: Final = pattern(r"[(\[{<]\s*at\s*[)\]}>]", re.IGNORECASE)
"""`ann (at) x.org`."""
_PUBLIC: Final = pattern(
    r"(?:https?://)?(?:[a-z0-9-]{1,63}\.){1,8}(?P<top>[a-z]{2,24})(?:[/?#][!-~]*)?", re.IGNORECASE
)
_OWN_NETWORK: Final = frozenset(
    {
        *("local", "localhost", "localdomain", "internal", "intranet", "intra", "lan", "home", "corp"),
        *("private", "svc", "consul", "test", "arpa"),
    }
)
_SPELLS_NUMBERS: Final = pattern(r"(?:\d{1,3}[.-]){3}\d{1,3}[.-]")
"""`10.0.0.1.nip.io` is 10.0.0.1."""


class Sort(StrEnum):
    """What an address is of. No sort is false."""

    NONE = ""
    MAIL = "mail"
    LINK = "link"
    ACCOUNT = "account"


def sort_of(addresses: frozenset[str]) -> Sort:
    """The sort of a single address; none of several, or of no one."""
    if len(addresses) != 1:
        return Sort.NONE
    [address] = addresses
    if "@" in address:
        return Sort.MAIL
    return Sort.LINK if "." in address or ":" in address else Sort.ACCOUNT


def is_sole(addresses: frozenset[str], texts: Iterable[str]) -> bool:
    """Whether the texts name this address and no other of its sort, however one may be spelled."""
    [address] = addresses
    sort = sort_of(addresses)
    for text in texts:
        if len(text) >= MEMBER_CHARS_MAX:
            return False  # what stands behind that was not kept
        plain = unicodedata.normalize("NFKC", text)
        if sort is Sort.MAIL:
            words = [word for word in plain.split() if "@" in word]
            fine = not _AT.search(plain) and all({*addresses_in(word)} == addresses for word in words)
        elif sort is Sort.ACCOUNT:
            fine = not _DOMESTIC.search(plain) and all(each.startswith(address) for each in _accounts(plain))
        else:
            fine = all(
                sort_of(frozenset({each})) is not Sort.LINK or each == address for each in addresses_in(plain)
            )
        if not fine:
            return False
    return True


def names_accounts(texts: Iterable[str]) -> bool:
    """Whether what begins like an account number stands anywhere."""
    plain = [unicodedata.normalize("NFKC", text) for text in texts]
    return any(_DOMESTIC.search(text) or next(iter(_accounts(text)), "") for text in plain)


def _accounts(text: str) -> Iterable[str]:
    """What begins like an account number, in small letters without separators, with what follows it."""
    for start in _ACCOUNT.finditer(text):
        squeezed = _JOINS.sub("", text[start.start() : start.start() + _SPELLED_CHARS].lower())
        digits = sum(map(str.isdigit, squeezed[:_ACCOUNT_CHARS]))
        if digits >= ACCOUNT_DIGITS_MIN:
            yield squeezed


def is_public_link(text: str) -> bool:
    """Whether a text is one link as a whole, to a named host outside of the operator's own network.

    By its name: where the name leads, whoever fetches it has to look at.
    """
    found = _PUBLIC.fullmatch(text)
    if found is None or _SPELLS_NUMBERS.search(text):
        return False
    return found["top"].lower() not in _OWN_NETWORK


def speaks_of(name: str, text: str) -> bool:
    """Whether a text holds the name of a tool, as programs write it.

    A guess: bills are written for people, and what names a tool is written for an agent by somebody who knows
    what it has. `pay` alone is in every bill, and so is `send money` as two words.
    """
    parts = [each.lower() for each in _PART.findall(name)]
    if len(parts) < 2:  # noqa: PLR2004 -- one word
        return False
    plain = unicodedata.normalize("NFKC", text).lower()
    return re.search(r"[_\-./]?".join(map(re.escape, parts)), plain) is not None
