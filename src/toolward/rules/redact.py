"""Known secrets out of what leaves and what is written down."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

import orjson

REDACTED: Final = "[redacted]"
CHARS_MIN = 6
"""A shorter secret would be found everywhere; `toolward check` asks for longer ones."""


def redact(value: Any, secrets: Iterable[str]) -> tuple[Any, int]:
    """A JSON value without what is in `secrets`, and how many places were changed; itself if none.

    A secret is looked for in texts, member names and numbers: as it is, as JSON and URLs write it, in hex,
    and in base64 at any offset. A secret that was cut in pieces or enciphered is not found.
    """
    pattern = _pattern(tuple(secrets))
    if pattern is None:
        return value, 0
    out, found = _clean(value, pattern)
    return (out, found) if found else (value, 0)


def _clean(value: Any, pattern: re.Pattern[str]) -> tuple[Any, int]:
    if isinstance(value, str):
        return pattern.subn(REDACTED, value)
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        found = 0
        for key, item in value.items():
            name, in_name = pattern.subn(REDACTED, str(key))
            out[name], below = _clean(item, pattern)
            found += in_name + below
        return out, found
    if isinstance(value, (list, tuple)):
        cleaned = [_clean(item, pattern) for item in value]
        return [item for item, _ in cleaned], sum(count for _, count in cleaned)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and pattern.search(str(value)):
        return REDACTED, 1
    return value, 0


@lru_cache(maxsize=8)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """All forms of all secrets, the longest first. Literals only: nothing here can backtrack far."""
    forms = {form for secret in secrets if len(secret) >= CHARS_MIN for form in forms_of(secret)}
    if not forms:
        return None
    return re.compile(
        "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))
    )


def forms_of(secret: str) -> set[str]:
    """A text as it is, as JSON and URLs write it, in hex, and in base64 at any offset."""
    raw = secret.encode("utf-8", "surrogatepass")
    plain = {secret, quote(secret, safe=""), quote_plus(secret), raw.hex(), raw.hex().upper()}
    if secret.isprintable():
        plain.add(orjson.dumps(secret).decode()[1:-1])
    return plain | _in_base64(raw)


def _in_base64(raw: bytes) -> set[str]:
    """The characters that stand for the secret alone, wherever in a longer text it begins."""
    forms: set[str] = set()
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + raw)
        first = -(-offset * 8 // 6)
        whole = coded[first : (offset + len(raw)) * 8 // 6].decode()
        if len(whole) >= CHARS_MIN:
            forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return forms
