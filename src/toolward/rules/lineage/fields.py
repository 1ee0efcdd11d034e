"""Which label a place in a result has, by the patterns of a manifest.

A pattern is a JSON pointer; `*` stands for any one member or index, `**` for any number of them, so
`/**/sender` is every member named `sender` at any depth. A pattern covers what lies below it. The first that
fits counts, in the order in which they are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from toolward.model.label import Label

PATTERNS_REMEMBERED: Final = 8_192
"""Patterns split into their parts; a ward has some dozens for each server."""


def label_at(pointer: str, fields: Mapping[str, Label], default: Label) -> Label:
    """The label of what stands at `pointer`."""
    if not fields:
        return default
    parts = pointer.split("/")[1:] if pointer else []
    for pattern, label in fields.items():
        if _covers(_parts(pattern), parts):
            return label
    return default


@lru_cache(maxsize=PATTERNS_REMEMBERED)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("/")[1:])


def _covers(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether `pattern` is the place or a place above it."""
    for at, want in enumerate(pattern):
        if want == "**":
            rest = pattern[at + 1 :]
            return not rest or any(_covers(rest, parts[start:]) for start in range(at, len(parts)))
        if at >= len(parts) or (want not in ("*", parts[at])):
            return False
    return True
