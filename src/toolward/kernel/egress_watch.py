"""What leaves the cages is on record: every decision on a connection, and what went through it."""

from __future__ import annotations

from typing import Any

from toolward.errors import AuditUnavailable
from toolward.kernel.audit import Auditor
from toolward.kernel.tasks import Background
from toolward.model.event import EventKind
from toolward.ports.egress import EgressEvent
from toolward.ports.store import Store


class EgressWatch:
    """`ports.egress.EgressSignals` into the log. A log that does not take records lets nothing out."""

    def __init__(self, store: Store, auditor: Auditor, *, background: Background) -> None:
        self._store = store
        self._auditor = auditor
        self._background = background

    def judged(self, event: EgressEvent) -> None:
        """Hand it to the log, without waiting for the disk.

        Raises `AuditUnavailable` when the log is known to be out of order: then nothing is dialled.
        """
        self._record(EventKind.EGRESS_JUDGED, event, {})

    def ended(self, event: EgressEvent) -> None:
        """With its figures. Raises `AuditUnavailable`."""
        figures = {"bytes_out": event.bytes_out, "bytes_in": event.bytes_in, "duration_ms": event.duration_ms}
        self._record(EventKind.EGRESS_ENDED, event, figures)

    def _record(self, kind: EventKind, event: EgressEvent, figures: dict[str, int]) -> None:
        if text := self._store.healthy():
            raise AuditUnavailable(text)
        server, _, session_id = event.tag.partition(" ")
        body: dict[str, Any] = {
            "server": server,
            "host": event.host,
            "port": event.port,
            "verdict": event.verdict,
            "code": event.code.value,
            **figures,
        }
        if event.encrypted_hello:
            body["encrypted_hello"] = True
        record = self._auditor.event(kind, session_id=session_id, tool=server, body=body)
        _ = self._background.start(self._written(record))

    async def _written(self, record: Any) -> None:
        await self._store.commit([record])
