"""Which label a place in a result has, by the patterns of a manifest.

A pattern is a JSON pointer; `*` stands for any one member or index, `**` for any number of them, so
`/**/sender` is every member named `sender` at any depth. A pattern covers what lies below it. The first that
fits counts, in the order in which they are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from toolward.model.label import Label

SHAPES_REMEMBERED: Final = 16_384
"""Shapes of pointers whose pattern stays known; a tool's results have some dozens."""
SHAPE_CHARS_MAX: Final = 512
"""Of a pointer that stays known: the names in it are the server's to choose, and may be of any length."""
_INDEX: Final = re.compile(r"/\d+(?=/|$)")


def label_at(pointer: str, fields: Mapping[str, Label], default: Label) -> Label:
    """The label of what stands at `pointer`."""
    if not fields:
        return default
    patterns = tuple(fields)
    shape = pointer if _numbered(patterns) else _INDEX.sub("/0", pointer)
    found = (_known if len(shape) <= SHAPE_CHARS_MAX else _first)(patterns, shape)
    return fields[patterns[found]] if found >= 0 else default


@lru_cache(maxsize=SHAPES_REMEMBERED)
def _numbered(patterns: tuple[str, ...]) -> bool:
    """Whether a pattern names an index, so that one element is not as good as another."""
    return any(_INDEX.search(pattern) for pattern in patterns)


def _first(patterns: tuple[str, ...], pointer: str) -> int:
    """The first pattern that covers the place, -1 if none does."""
    parts = pointer.split("/")[1:]
    for at, pattern in enumerate(patterns):
        if _covers(pattern.split("/")[1:], parts):
            return at
    return -1


_known: Final = lru_cache(maxsize=SHAPES_REMEMBERED)(_first)


def _covers(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether `pattern` is the place or a place above it."""
    for at, want in enumerate(pattern):
        if want == "**":
            rest = pattern[at + 1 :]
            return not rest or any(_covers(rest, parts[start:]) for start in range(at, len(parts)))
        if at >= len(parts) or (want not in ("*", parts[at])):
            return False
    return True
