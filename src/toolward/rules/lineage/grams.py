"""Runs of characters that two texts share, wherever they stand and whatever was put between the letters.

A remembered text is cut into blocks of `BLOCK` letters and digits, side by side, and every run of a later
text is looked up among them. So a copy of at least `2 * BLOCK - 1` of them is always found, whatever it
starts with: a stronger promise than fingerprints that both sides choose, and a sixteenth of the memory of
all runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

BLOCK: Final = 16
"""Letters and digits: longer than nearly every word, short enough that a copied line holds a few."""
PROSE_BLOCKS_MIN: Final = 2
"""Different blocks of letters alone that must be shared: one is a turn of phrase, two are a copy."""
LETTERS_MIN: Final = 5
"""Different characters in a block: rulers and padding are no content."""

_T = TypeVar("_T")
_BLOCKS: Final = re.compile(f".{{{BLOCK}}}")


def blocks_of(letters: str) -> list[str]:
    """The blocks of a squeezed text. One of fewer than `BLOCK` letters has none."""
    return _BLOCKS.findall(letters)


def shared(letters: str, known: Mapping[str, _T]) -> list[str]:
    """The runs of a squeezed text that are among `known` blocks, in order."""
    if not known:
        return []
    last = len(letters) - BLOCK + 1
    starts = [at for at in range(last) if letters[at : at + BLOCK] in known]
    if not starts:
        return []
    runs = [letters[at : at + BLOCK] for at in starts]
    return [run for run in runs if len(set(run)) >= LETTERS_MIN]


def is_prose(block: str) -> bool:
    """Whether it is of letters alone, so that two texts may hold it by chance."""
    return block.isalpha()
