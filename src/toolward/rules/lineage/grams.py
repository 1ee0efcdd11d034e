"""Runs of characters that two texts share, wherever they stand and whatever was put between the letters.

A remembered text is cut into blocks of `BLOCK` letters and digits, side by side, and every run of a later
text is looked up among them. So a copy of at least `2 * BLOCK - 1` of them is always found, whatever it
starts with: a stronger promise than fingerprints that both sides choose, and a sixteenth of the memory of
all runs.
"""

from __future__ import annotations

import re
import struct
from typing import Final, TypeVar

BLOCK: Final = 16
"""Letters and digits: longer than nearly every word, short enough that a copied line holds a few."""
PROSE_BLOCKS_MIN: Final = 2
"""Different blocks of letters alone that must be shared: one is a turn of phrase, two are a copy."""
LETTERS_MIN: Final = 5
"""Different characters in a block: rulers and padding are no content."""

_T = TypeVar("_T")
_BLOCKS: Final = re.compile(f".{{{BLOCK}}}")
_STEP: Final = 1_024
_SLICES: Final = tuple(slice(at, at + BLOCK) for at in range(_STEP))
"""Made once: a run costs half of what it costs to make its slice too."""

_WEIGHTS: Final = (499_979, 86_677, 324_619, 441_697, 23_633, 271_981, 153_001, 377_831)
"""Of the letters of a run, from either end. All sums are below 2**30: one digit of an `int`."""
_LANE: Final = 32
"""Bits for one letter, so that no sum runs over into the next."""
_WEIGHT: Final = sum(weight << _LANE * at for at, weight in enumerate((*_WEIGHTS, *_WEIGHTS[::-1])))


def blocks_of(letters: str) -> list[str]:
    """The blocks of a squeezed text. One of fewer than `BLOCK` letters has none."""
    return _BLOCKS.findall(letters)


def runs_of(letters: str) -> list[str]:
    """Every run of as many letters as a block has, wherever it begins, in order."""
    last = len(letters) - BLOCK + 1
    runs: list[str] = []
    for start in range(0, last, _STEP):
        runs += map(letters[start : start + _STEP + BLOCK].__getitem__, _SLICES[: last - start])
    return runs


def marks_of(letters: str) -> tuple[int, ...]:
    """A number for every run, in order: the same for the same letters, be they read backwards.

    All are made by one multiplication: each is the sum of its letters, weighted by where they stand in it.
    """
    runs = len(letters) - BLOCK + 1
    if runs <= 0:
        return ()
    if not letters.isascii():
        letters = bytes([ord(each) & 127 for each in letters]).decode()
    lanes = letters.encode("utf-32-le")
    sums = (int.from_bytes(lanes, "little") * _WEIGHT).to_bytes(len(lanes) + BLOCK * _LANE // 8, "little")
    return struct.unpack_from(f"<{runs}I", sums, (BLOCK - 1) * _LANE // 8)


def either_way(run: str) -> str:
    """One form of a run and of the same read backwards."""
    return min(run, run[::-1])


def shared(runs: list[str], known: dict[str, _T]) -> list[str]:
    """The runs that are among `known` blocks, in order."""
    if not known or known.keys().isdisjoint(runs):
        return []
    return [run for run in runs if run in known and len(set(run)) >= LETTERS_MIN]


def is_prose(block: str) -> bool:
    """Whether it is of letters alone, so that two texts may hold it by chance."""
    return block.isalpha()
