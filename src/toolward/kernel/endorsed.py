"""What a person endorsed in a session: read back from the record, so that a restart changes nothing."""

from __future__ import annotations

import orjson

from toolward.model.event import EventKind
from toolward.ports.store import Record, Store, Table
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.remember import values_of


def endorsed_before(store: Store, session_id: str, memory: SessionMemory) -> None:
    """Put into `memory` every endorsement of the session."""
    prefix = f"{session_id}/"
    for row in store.scan(Table.ENDORSEMENT, prefix):
        endorse_call(store, row.key[len(prefix) :], memory)


def endorse_call(store: Store, call_id: str, memory: SessionMemory) -> None:
    """From now on what that call answered counts as a person's own words."""
    memory.endorsed_calls.add(call_id)
    record = answer_of(store, call_id)
    body = store.payload(record.index, "result") if record is not None else None
    if body is None:
        return  # erased: it taints no more, and lends nothing either
    memory.endorse(call_id, values_of(orjson.loads(body)))


def answer_of(store: Store, call_id: str) -> Record | None:
    """The record of what a call answered."""
    for kind in (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED):
        for record in store.find(kind=kind.value, call_id=call_id, limit=1):
            return record
    return None
