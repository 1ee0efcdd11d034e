"""The values that a session's results held."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from toolward.model.lineage import Source
from toolward.rules.lineage.records import Records

VALUES_MAX: Final = 20_000
"""Distinct values remembered for one session; past this the session's taint alone counts."""
CHARS_MIN: Final = 3
"""Shorter values are seen everywhere and prove nothing."""
CHARS_MAX: Final = 4_096
"""Longer leaves are remembered by their beginning only."""


@dataclass(slots=True)
class SessionMemory:
    """Values that this session's results held, with the worst label each was seen under."""

    seen: dict[str, Source] = field(default_factory=dict)
    overflowed: bool = False  # not everything is in it: the session's taint counts where nothing is known
    endorsed: dict[str, str] = field(default_factory=dict)  # value -> the endorsed call that said it
    endorsed_calls: set[str] = field(default_factory=set)
    records: Records = field(default_factory=Records)

    def remember(self, value: str, source: Source) -> None:
        """Note that `value` stood in `source`."""
        key = normalise(value)
        if len(key) < CHARS_MIN:
            return
        known = self.seen.get(key)
        if known is None:
            if len(self.seen) >= VALUES_MAX:
                self.overflowed = True
                return
            self.seen[key] = source
        elif known.label != (joined := known.label.join(source.label)):
            self.seen[key] = Source(known.kind, known.reference, joined)


def normalise(value: str) -> str:
    """The form in which values are compared."""
    return value[:CHARS_MAX].strip().casefold()
