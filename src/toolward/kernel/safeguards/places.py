"""Which taken places lie above or below a place, found without reading every row."""

from __future__ import annotations

from collections.abc import Iterable

from toolward.rules.resources import above


class Places:
    """Names that were taken. It may know some that were let go: whoever looks at the rows removes those."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._taken: set[str] = set()
        self._below: dict[str, set[str]] = {}
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """They were taken, or will be in a moment."""
        for name in names:
            if name not in self._taken:
                self._taken.add(name)
                for place in above(name):
                    self._below.setdefault(place, set()).add(name)

    def remove(self, name: str) -> None:
        """It was let go."""
        self._taken.discard(name)
        for place in above(name):
            below = self._below.get(place, set())
            below.discard(name)
            if not below:
                _ = self._below.pop(place, None)

    def meets(self, name: str) -> bool:
        """Whether it, or one above or below it, was taken."""
        return name in self._taken or bool(self.meeting(name))

    def meeting(self, name: str) -> list[str]:
        """The taken ones that lie above or below it."""
        higher = [place for place in above(name) if place in self._taken]
        return [*higher, *sorted(self._below.get(name, ()))]
