"""All shapes in one pass, in time that grows with the text and with nothing else (decision 22).

gate     one alternation of every pattern: most texts end here
set      which of the patterns it was
each     only those again, for the places; then check digits and words beside them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from toolward.rules.signals.shapes import EVERY, Shape

FOUND_MAX: Final = 256
"""Things of one text that are named; there are no more decisions behind the next."""
TRIES_MAX: Final = 4_096
"""Places of one shape that are looked at closely, a microsecond or two each; past it the text counts as
holding one: somebody filled it with look-alikes."""
NEAR_CHARS: Final = 40
"""How far before a number its word may stand."""
ENGINE_BYTES_MAX: Final = 32 << 20
"""What one automaton may keep of its states. The alternation falls back to a slower way beyond it, never to
"nothing found"."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing, as it stands in the text; of `password=…` only what is assigned."""

    kind: str
    text: str
    personal: bool


@dataclass(frozen=True, slots=True)
class _Engine:
    gate: Any
    which: Any
    each: tuple[Any, ...]


@lru_cache(maxsize=1)
def _engine() -> _Engine:
    """Compiled once for each process, when something is scanned first: about ten milliseconds."""
    options = re2.Options()
    options.max_mem = ENGINE_BYTES_MAX
    options.log_errors = False
    options.never_capture = True
    which = re2.Set.SearchSet(options)
    for shape in EVERY:
        which.Add(shape.pattern)
    which.Compile()
    gate = re2.compile("|".join(f"(?:{shape.pattern})" for shape in EVERY).encode(), options)
    return _Engine(gate, which, tuple(re2.compile(shape.pattern.encode(), options) for shape in EVERY))


def scan(text: bytes) -> tuple[Found, ...]:
    """Secrets and personal data in UTF-8 text, each kind and wording once, in the order of the shapes."""
    engine = _engine()
    if engine.gate.search(text) is None:
        return ()
    # a set that ran out of memory says "none": the gate knows better, so then all are tried
    matched: Sequence[int] = engine.which.Match(text) or range(len(EVERY))
    found: dict[Found, None] = {}
    for index in sorted(matched):
        for one in _places(EVERY[index], engine.each[index], text):
            found[one] = None
            if len(found) >= FOUND_MAX:
                return tuple(found)
    return tuple(found)


def _places(shape: Shape, pattern: Any, text: bytes) -> Iterator[Found]:
    for tries, match in enumerate(pattern.finditer(text)):
        raw = match.group()
        if tries >= TRIES_MAX or _is_real(
            shape, raw, text[max(0, match.start() - NEAR_CHARS) : match.start()]
        ):
            said = raw.decode("utf-8", "replace")
            yield Found(shape.kind, shape.value(said) if shape.value else said, shape.personal)
        if tries >= TRIES_MAX:
            return


def _is_real(shape: Shape, raw: bytes, before: bytes) -> bool:
    if shape.near:
        words = before.lower()
        if not any(word.encode() in words for word in shape.near):
            return False
    if shape.holds is None:
        return True
    text = raw.decode("utf-8", "replace")
    if shape.compact:
        text = text.replace(" ", "").replace("-", "").replace(".", "").upper()
    return shape.holds(text)


def kinds_of(found: Sequence[Found]) -> Mapping[str, int]:
    """How often each kind was found."""
    counts: dict[str, int] = {}
    for one in found:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    return counts
