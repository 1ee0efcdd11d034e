"""Which intents in the log have no outcome yet, followed from record to record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from toolward.model.event import EventKind
from toolward.ports.store import OpenCall

_OUTCOMES: Final = frozenset({EventKind.CALL_OUTCOME, EventKind.LISTED})


class OpenCalls:
    """The open calls after the records that were followed so far."""

    __slots__ = ("_open",)

    def __init__(self, left: Iterable[OpenCall] = ()) -> None:
        """`left` were open at the record where following begins."""
        self._open = {each.call_id: each for each in left}

    def follow(self, kind: str, call_id: str, session_id: str, tool: str) -> None:
        """One more record."""
        if kind == EventKind.CALL_INTENT:
            self._open[call_id] = OpenCall(call_id, session_id, tool)
        elif kind in _OUTCOMES:
            self._open.pop(call_id, None)

    def all(self) -> tuple[OpenCall, ...]:
        """Oldest first; may be asked by any thread."""
        return tuple(self._open.values())
