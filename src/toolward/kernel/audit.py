"""How the kernel writes things down: builds events, never decides what happens next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.model.event import Event, EventKind
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Store


class Auditor:
    """Makes events with time and identifier, and keyed digests."""

    def __init__(self, store: Store, *, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    def event(  # noqa: PLR0913 -- one for each part of a record
        self,
        kind: EventKind,
        *,
        call_id: str = "",
        session_id: str = "",
        tool: str = "",
        body: Mapping[str, Any] | None = None,
        payloads: Mapping[str, bytes] | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Event:
        """An event of now. `body` holds integers, strings, booleans, lists and objects only.

        `digests` are those of payloads that were digested already, by this auditor.
        """
        return Event(
            event_id=self._ids.new(),
            time_ns=self._clock.now_ns(),
            kind=kind,
            call_id=call_id,
            session_id=session_id,
            tool=tool,
            body=body or {},
            payloads=payloads or {},
            digests=digests or {},
        )

    def digest(self, data: bytes) -> str:
        """The ward's keyed digest: low-entropy values can not be guessed from it."""
        return self._store.digest(data)
