"""On whose word a circuit opens for everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

VOICES_HEARD: Final = 5
"""The newest failures that are looked at."""
LOUDEST_MAX: Final = 3
"""How many of those may be one caller's: past this it may be that caller's arguments that fail."""


def is_shared(voices: Sequence[str]) -> bool:
    """Whether the newest failures, given by their callers, are not all but one of a single caller's."""
    heard = voices[-VOICES_HEARD:]
    return len(heard) == VOICES_HEARD and max(Counter(heard).values()) <= LOUDEST_MAX
