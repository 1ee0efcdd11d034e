"""That a circuit opened or closed is on record, with an incident that is restored when it closes."""

from __future__ import annotations

import asyncio
from typing import Any

from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.resilience.breaker import Turn
from toolward.kernel.tasks import Background
from toolward.model.event import Event, EventKind
from toolward.model.incident import IncidentKind
from toolward.model.resilience import Phase
from toolward.ports.clock import Clock
from toolward.ports.store import Put, Store

_SECOND = 1_000_000_000


class Turns:
    """Writes turns down one after the other, beside the calls that caused them."""

    def __init__(
        self, store: Store, auditor: Auditor, incidents: Incidents, *, clock: Clock, background: Background
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._incidents = incidents
        self._clock = clock
        self._background = background
        self._lock = asyncio.Lock()

    def __call__(self, turns: list[Turn]) -> None:
        """Have them written down."""
        if turns:
            _ = self._background.start(self.write(turns))

    async def begin(self) -> None:
        """Circuits do not outlive a process, so their incidents are restored. Raises `AuditUnavailable`."""
        left = [
            each
            for incident in self._incidents.all()
            if incident.kind is IncidentKind.CIRCUIT and not incident.restored_ns
            for each in self._incidents.restore(IncidentKind.CIRCUIT, incident.subject)
        ]
        if left:
            await self._store.commit([event for event, _ in left], [put for _, put in left])

    async def write(self, turns: list[Turn]) -> None:
        """Write them down now. Raises `AuditUnavailable`."""
        async with self._lock:  # an incident must be there before it is restored
            written = [each for turn in turns for each in self._written(turn)]
            await self._store.commit(
                [event for event, _ in written], [put for _, put in written if put is not None]
            )

    def _written(self, turn: Turn) -> list[tuple[Event, Put | None]]:
        subject = f"{turn.key} for {turn.whom}" if turn.whom else turn.key
        body: dict[str, Any] = {"circuit": turn.key, "whom": turn.whom}
        if turn.circuit.phase is Phase.CLOSED:
            body |= {"by": turn.by} if turn.by else {}
            closed = self._auditor.event(EventKind.CIRCUIT_CLOSED, tool=turn.key, body=body)
            return [(closed, None), *self._incidents.restore(IncidentKind.CIRCUIT, subject)]
        seconds = (turn.circuit.until_ns - self._clock.monotonic_ns()) // _SECOND
        body |= {"open_s": max(0, seconds), "opened": turn.circuit.opened}
        opened = self._auditor.event(EventKind.CIRCUIT_OPENED, tool=turn.key, body=body)
        if self._is_open(subject):
            return [(opened, None)]
        whom = f", for `{turn.whom}` alone" if turn.whom else ""
        text = f"calls of {turn.key} fail one after the other; its circuit is open{whom}"
        return [(opened, None), self._incidents.open(IncidentKind.CIRCUIT, subject, text, contained=True)]

    def _is_open(self, subject: str) -> bool:
        return any(
            each.kind is IncidentKind.CIRCUIT and each.subject == subject and not each.restored_ns
            for each in self._incidents.all()
        )
