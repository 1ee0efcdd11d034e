"""The histories of sessions: kept while they are live, recomputed from the log when they come back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from toolward.config.limits import SESSION_CALLS_COUNTED_MAX
from toolward.model.event import EventKind
from toolward.model.label import Label
from toolward.ports.store import Record, Store
from toolward.rules.signals.history import History, recalled

_CALLS = (EventKind.CALL_INTENT, EventKind.CALL_MERGED)
_ANSWERS = (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED)


class Histories:
    """One for each live session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, History] = {}

    def opened(self, session_id: str) -> None:
        """A session that is new: nothing of it is in the log."""
        self._kept[session_id] = History()

    def of(self, session_id: str) -> History:
        """As the session's calls are judged now."""
        history = self._kept.get(session_id)
        if history is None:
            history = self._kept[session_id] = self._recalled(session_id)
        return history

    def saw(self, session_id: str, label: Label, now_ns: int) -> None:
        """A result under that label is about to reach the session's agent."""
        self.of(session_id).saw(label, now_ns)

    def answered(self, session_id: str) -> None:
        """One call of those in flight is over, however it ended."""
        history = self._kept.get(session_id)
        if history is not None and history.in_flight:
            history.in_flight -= 1

    def forget(self, session_id: str) -> None:
        """The session is closed; the log has it all."""
        self._kept.pop(session_id, None)

    def _recalled(self, session_id: str) -> History:
        every = (_read(each) for kind in _CALLS for each in self._found(kind, session_id))
        calls = [said for said in every if "copy_of" not in said]
        answers = [_read(each) for kind in _ANSWERS for each in self._found(kind, session_id)]
        calls.sort(key=lambda said: said["at_ns"])
        return recalled(calls, answers)

    def _found(self, kind: EventKind, session_id: str) -> list[Record]:
        return self._store.find(kind=kind.value, session_id=session_id, limit=SESSION_CALLS_COUNTED_MAX)


def _read(record: Record) -> Mapping[str, Any]:
    said: dict[str, Any] = orjson.loads(record.body)
    second, _, fraction = said["time"].removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{second}+00:00").timestamp())
    return said | {"at_ns": seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))}
