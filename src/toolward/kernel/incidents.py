"""Incident records: onset, detected, contained, restored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import orjson

from toolward.kernel.audit import Auditor
from toolward.model.event import Event, EventKind
from toolward.model.incident import Incident, IncidentKind
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Put, Store, Table
from toolward.rules.canonical import canonical


class Incidents:
    """Builds the events and writes of incidents; the caller commits them with what caused them."""

    def __init__(
        self,
        store: Store,
        auditor: Auditor,
        *,
        clock: Clock,
        ids: Ids,
        on_open: Callable[[Incident], None] = lambda _: None,
    ) -> None:
        """`on_open` hears of each incident when it is made, before it is written down."""
        self._on_open = on_open
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self._ids = ids

    def open(
        self, kind: IncidentKind, subject: str, text: str, *, contained: bool, onset_ns: int = 0
    ) -> tuple[Event, Put]:
        """A new incident; `contained` when detecting it already stopped the harm."""
        now = self._clock.now_ns()
        incident = Incident(
            incident_id=self._ids.new(),
            kind=kind,
            subject=subject,
            text=text,
            onset_ns=onset_ns or now,
            detected_ns=now,
            contained_ns=now if contained else 0,
        )
        self._on_open(incident)
        return self._event(EventKind.INCIDENT_OPENED, incident), self._put(incident)

    def past(self, kind: IncidentKind, subject: str, text: str, *, onset_ns: int) -> tuple[list[Event], Put]:
        """An incident that is over with what is committed beside it."""
        now = self._clock.now_ns()
        incident = Incident(
            incident_id=self._ids.new(),
            kind=kind,
            subject=subject,
            text=text,
            onset_ns=onset_ns,
            detected_ns=now,
            contained_ns=now,
            restored_ns=now,
        )
        self._on_open(incident)
        kinds = (EventKind.INCIDENT_OPENED, EventKind.INCIDENT_RESTORED)
        return [self._event(each, incident) for each in kinds], self._put(incident)

    def restore(self, kind: IncidentKind, subject: str) -> list[tuple[Event, Put]]:
        """Close what is open of that kind for that subject."""
        now = self._clock.now_ns()
        closed = [
            replace(incident, restored_ns=now, contained_ns=incident.contained_ns or now)
            for incident in self.all()
            if incident.kind is kind and incident.subject == subject and not incident.restored_ns
        ]
        return [(self._event(EventKind.INCIDENT_RESTORED, each), self._put(each)) for each in closed]

    def all(self) -> list[Incident]:
        """Every incident, oldest first."""
        return [incident_from_json(row.body) for row in self._store.scan(Table.INCIDENT)]

    def _event(self, kind: EventKind, incident: Incident) -> Event:
        return self._auditor.event(kind, tool=incident.subject, body={"incident": _as_json(incident)})

    @staticmethod
    def _put(incident: Incident) -> Put:
        return Put(Table.INCIDENT, incident.incident_id, canonical(_as_json(incident)))


def _as_json(incident: Incident) -> dict[str, str]:
    """Times as strings: nanoseconds pass what JSON numbers hold everywhere."""
    return {name: str(value) for name, value in asdict(incident).items()}


def incident_from_json(body: bytes) -> Incident:
    """The inverse of what is stored."""
    value = orjson.loads(body)
    return Incident(
        incident_id=value["incident_id"],
        kind=IncidentKind(value["kind"]),
        subject=value["subject"],
        text=value["text"],
        onset_ns=int(value["onset_ns"]),
        detected_ns=int(value["detected_ns"]),
        contained_ns=int(value["contained_ns"]),
        restored_ns=int(value["restored_ns"]),
    )
