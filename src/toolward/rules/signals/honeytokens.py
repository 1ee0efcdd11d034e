"""What planted values are, and where one stands in a text, however it was written.

A value has a *core*, drawn from the ward's key, that occurs nowhere else: it alone is looked for, so half a
mail address or a link without its scheme is recognised too. All cores, in all their spellings, are one
automaton; what was encoded otherwise is looked at in its decoded views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import re2
from ahocorasick_rs import BytesAhoCorasick

from toolward.model.honeytoken import HoneyToken, TokenShape
from toolward.rules.lineage.leaves import leaves_of, names_in
from toolward.rules.lineage.views import views_of
from toolward.rules.redact import forms_of
from toolward.rules.signals.check_digits import iban_remainder

PLACE_DEFAULT: Final = "intranet.example"
"""For mail addresses and links of which nobody said a domain."""
VALUES_MAX: Final = 512
"""Values of one call whose decoded views are looked at; all are looked at as they are."""
_CODED: Final = r"[A-Za-z0-9+/_=-]{16}|%[0-9A-Fa-f]{2}|&#|\\[ux0-9]"
"""A text without any of these is decoded by nobody: the shortest core has 16 characters in base64."""
_BASE32: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without `l`, `o`, `0` and `1`, which people and programs confuse."""
_BASE62: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BETWEEN: Final = b" \t\r\n-."


def value_of(token: HoneyToken, seed: bytes) -> str:
    """The planted value; `seed` are the bytes that the ward's key gives for the token's identifier."""
    return _made(token, seed)[0]


def _made(token: HoneyToken, seed: bytes) -> tuple[str, str]:
    """Value and core."""
    place = token.place or PLACE_DEFAULT
    match token.shape:
        case TokenShape.API_KEY:
            core = _drawn(seed, _BASE62, 32)
            return f"sk_live_{core}", core
        case TokenShape.MAIL:
            core = _drawn(seed, _BASE32, 14)
            return f"office.{core}@{place}", core
        case TokenShape.URL:
            core = _drawn(seed, _BASE32, 22)
            return f"https://{place}/d/{core}", core
        case TokenShape.ACCOUNT:
            core = _drawn(seed, "0123456789", 18)
            return f"DE{98 - iban_remainder(f'DE00{core}'):02d}{core}", core
        case TokenShape.ROW:
            core = _drawn(seed, _BASE32.upper(), 12)
            return f"C-{core}", core


def _drawn(seed: bytes, alphabet: str, length: int) -> str:
    """So many characters of the alphabet; evenly enough for a value that is only to be unlike all others."""
    stream = int.from_bytes(hashlib.shake_256(b"honeytoken/" + seed).digest(length * 2))
    out = []
    for _ in range(length):
        stream, index = divmod(stream, len(alphabet))
        out.append(alphabet[index])
    return "".join(out)


@lru_cache(maxsize=1)
def _coded() -> Any:
    return re2.compile(_CODED.encode())


class Watchlist:
    """All planted values. Case, spaces and hyphens do not matter, nor does the encoding."""

    def __init__(self, planted: Iterable[tuple[HoneyToken, bytes]]) -> None:
        """`planted` are tokens with their seeds."""
        owners: dict[bytes, HoneyToken] = {}
        for token, seed in planted:
            core = _made(token, seed)[1]
            for form in (*forms_of(core), core[::-1]):
                owners[form.lower().encode()] = token
        self._owners = list(owners.values())
        self._automaton = BytesAhoCorasick(list(owners)) if owners else None

    def __bool__(self) -> bool:
        return self._automaton is not None

    def find(self, values: Iterable[Any], encoded: bytes) -> list[HoneyToken]:
        """Tokens that stand in the JSON text `encoded`, or in a decoded view of one of `values`."""
        found = self._in(encoded)
        if not found and self and _coded().search(encoded) is not None:
            for text in _texts(values):
                if _coded().search(text.encode("utf-8", "replace")) is None:
                    continue
                for _, view in views_of(text):
                    found |= self._in(view.encode("utf-8", "replace"))
        return list(found.values())

    def _in(self, text: bytes) -> dict[str, HoneyToken]:
        if self._automaton is None:
            return {}
        low = text.lower()
        found: dict[str, HoneyToken] = {}
        for each in (low, low.translate(None, _BETWEEN)):
            for index, _, _ in self._automaton.find_matches_as_indexes(each, overlapping=True):
                token = self._owners[index]
                found[token.token_id] = token
        return found


def _texts(values: Iterable[Any]) -> list[str]:
    texts: list[str] = []
    for value in values:
        texts += [leaf for _, leaf in leaves_of(value) if isinstance(leaf, str)]
        texts += names_in(value)
    return texts[:VALUES_MAX]
