"""What a JSON value says, as one text for scanning: names beside their values, nothing escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NAMED_CHARS_MAX: Final = 64
"""A longer member name is a value that somebody put there: it stands on a line of its own anyway."""


def text_of(value: Any, plain: bytes) -> bytes:
    """`plain`, the canonical JSON of `value`, if no character in it is escaped, else its parts line by line.

    Canonical JSON escapes quotes, backslashes and control characters only: most calls hold none.
    """
    if b"\\" not in plain:
        return plain
    parts: list[str] = []
    _say(value, "", parts)
    return "\n".join(parts).encode("utf-8", "replace")


def _say(value: Any, name: str, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(f'"{name}":"{value}"' if name and len(name) <= NAMED_CHARS_MAX else value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if len(key) > NAMED_CHARS_MAX:
                parts.append(key)
            _say(item, key, parts)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _say(item, name, parts)
    elif value is not None and not isinstance(value, bool):
        parts.append(f'"{name}":{value}')
