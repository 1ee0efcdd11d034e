"""How many calls may be in flight: all together, and of one caller, so that a busy one leaves room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from toolward.config.limits import CALLS_IN_FLIGHT_EACH_MAX, CALLS_IN_FLIGHT_MAX
from toolward.errors import Overloaded


class Room:
    """Counts calls; refuses at once rather than queueing without bound."""

    def __init__(self) -> None:
        self._all = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def taken_by(self, credential: str) -> Iterator[None]:
        """One call's place. Raises `Overloaded`."""
        if self._all >= CALLS_IN_FLIGHT_MAX:
            raise _full(f"{CALLS_IN_FLIGHT_MAX} calls")
        if self._of[credential] >= CALLS_IN_FLIGHT_EACH_MAX:
            raise _full(f"{CALLS_IN_FLIGHT_EACH_MAX} calls of this caller")
        self._all += 1
        self._of[credential] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._of[credential] -= 1
            if not self._of[credential]:
                del self._of[credential]


def _full(what: str) -> Overloaded:
    return Overloaded(f"{what} are in flight, and that is the limit", remedy="try again later")
