"""Reading on in the log for records of some kinds; while none is added it costs next to nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from toolward.model.event import EventKind
from toolward.ports.store import Record, Store

PAGE: Final = 64


class Following:
    """A place in the log; `new` gives what was added behind it, and goes on to there."""

    def __init__(self, store: Store, kinds: Iterable[EventKind], *, at: int | None = None) -> None:
        """From record `at` on, from now on where it is None."""
        self._store = store
        self._kinds = tuple(kinds)
        self.at = store.size() if at is None else at
        self._all_here = at is None  # whether what is to come is all written by this process

    def new(self) -> list[Record]:
        """Records of these kinds since the last time, oldest first. Raises `StoreUnavailable`."""
        size = self._store.size()
        if size <= self.at:
            return []
        kinds = [
            kind for kind in self._kinds if not self._all_here or self._store.last_written(kind) >= self.at
        ]
        found = [record for kind in kinds for record in self._since(kind, size)]
        self.at, self._all_here = size, True
        return sorted(found, key=lambda record: record.index)

    def _since(self, kind: EventKind, size: int) -> list[Record]:
        limit = PAGE
        while True:
            newest = self._store.find(kind=kind.value, limit=limit)
            if len(newest) < limit or newest[-1].index < self.at:
                return [record for record in newest if self.at <= record.index < size]
            limit *= 4
