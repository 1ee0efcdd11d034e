"""What leaves the cages is on record: every decision on a connection, and what went through it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from toolward.errors import AuditUnavailable, Overloaded
from toolward.kernel.audit import Auditor
from toolward.kernel.tasks import Background
from toolward.model.egress import RefusedDestination, Whose
from toolward.model.event import Event, EventKind
from toolward.ports.clock import Clock
from toolward.ports.egress import EgressEvent
from toolward.ports.store import Store

REFUSALS_KEPT: Final = 64
"""Of each server, for the calls that fail for them; the log has all."""
QUEUE_PAUSE_S: Final = 0.05
"""Before a record is offered again to a log whose queue is full."""


class EgressWatch:
    """`ports.egress.EgressSignals` into the log. A log that does not take records lets nothing out."""

    def __init__(self, store: Store, auditor: Auditor, *, background: Background, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._background = background
        self._clock = clock
        self._refused: dict[str, deque[tuple[int, EgressEvent]]] = {}

    async def judged(self, event: EgressEvent) -> None:
        """Returns once it is durable. Raises `AuditUnavailable`: then nothing is dialled.

        Waits while the log's queue is full; how long is for whoever asks to say.
        """
        if not event.allowed:
            kept = self._refused.setdefault(event.whose.server, deque(maxlen=REFUSALS_KEPT))
            kept.append((self._clock.monotonic_ns(), event))
        await self._written(self._event(EventKind.EGRESS_JUDGED, event, {}))

    def ended(self, event: EgressEvent) -> None:
        """Hand it to the log with its figures. Raises `AuditUnavailable` when that is known to be broken."""
        if text := self._store.healthy():
            raise AuditUnavailable(text)
        figures = {"bytes_out": event.bytes_out, "bytes_in": event.bytes_in, "duration_ms": event.duration_ms}
        _ = self._background.start(self._written(self._event(EventKind.EGRESS_ENDED, event, figures)))

    def refusals(self, whose: Whose, *, since_ns: int) -> Sequence[RefusedDestination]:
        """`kernel.cage_hints.Refusals`, of what is remembered: the newest of each server."""
        shared = not whose.session_id
        return [
            RefusedDestination("" if shared or not event.host else f"{event.host}:{event.port}", event.code)
            for at_ns, event in self._refused.get(whose.server, ())
            if at_ns >= since_ns and event.whose == whose
        ]

    def _event(self, kind: EventKind, event: EgressEvent, figures: dict[str, int]) -> Event:
        whose = event.whose
        body: dict[str, Any] = {
            "server": whose.server,
            "host": event.host,
            "port": event.port,
            "verdict": event.verdict,
            "code": event.code.value,
            **figures,
        }
        if event.encrypted_hello:
            body["encrypted_hello"] = True
        return self._auditor.event(
            kind, call_id=whose.call_id, session_id=whose.session_id, tool=whose.server, body=body
        )

    async def _written(self, record: Event) -> None:
        while True:
            try:
                await self._store.commit([record])
            except Overloaded:
                await asyncio.sleep(QUEUE_PAUSE_S)
            else:
                return
