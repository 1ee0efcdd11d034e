"""What an agent refers to instead of saying it: looked up among what its session was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import BadArguments
from toolward.model.event import EventKind
from toolward.model.lineage import Handle
from toolward.ports.store import Record, Store
from toolward.rules.canonical import BYTES_MAX
from toolward.rules.lineage.handles import put_in, value_at

_ANSWERED: Final = ("returned", "tool_error")


class Handles:
    """Puts the values in, before anything is judged: what is judged, digested and recorded is what runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(
        self, arguments: Mapping[str, Any], session_id: str
    ) -> tuple[Mapping[str, Any], tuple[Handle, ...]]:
        """The arguments with their values, and the handles. Raises `BadArguments`.

        Only what a call of the same session answered, as it left: redacted, and not erased since. Other
        sessions' calls are not told apart from calls that never were.
        """
        results: dict[str, Any] = {}
        left = BYTES_MAX

        def fetch(handle: Handle) -> Any:
            nonlocal left
            if handle.call not in results:
                body = self._answer(handle, session_id)
                results[handle.call] = orjson.loads(body)
            value = value_at(handle, results[handle.call])
            left -= len(orjson.dumps(value))
            if left < 0:
                raise BadArguments(
                    f"what the call refers to is longer than {BYTES_MAX} bytes", remedy="refer to less of it"
                )
            return value

        return put_in(arguments, fetch)

    def _answer(self, handle: Handle, session_id: str) -> bytes:
        record = self._record(handle.call)
        if record is not None:
            said = orjson.loads(record.body)
            if said.get("session_id") == session_id and said.get("status") in _ANSWERED:
                body = self._store.payload(record.index, "result")
                if body is not None:
                    return body
        raise BadArguments(
            f"`{handle.at[:200]}` refers to call `{handle.call[:64]}`, of which this session has no answer",
            remedy="use the `call` in the receipt of an earlier result of this session, or send the value",
        )

    def _record(self, call_id: str) -> Record | None:
        for kind in (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED):
            for record in self._store.find(kind=kind.value, call_id=call_id, limit=1):
                return record
        return None
