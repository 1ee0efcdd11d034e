"""A session's calls and the edges between them, from the audit records and their payloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec import Struct

from toolward.model.event import EventKind
from toolward.model.session import Session
from toolward.ports.store import Record, Store
from toolward.rules.lineage.edges import Edge, edges_from_json
from toolward.rules.lineage.leaves import leaves_of

CALLS_MAX: Final = 10_000
"""Of one session that are read; the newest. An export of more is cut, and says so."""


class Traced(Struct, frozen=True, kw_only=True):
    """One call: what it used, what became of it, and where each of its arguments came from."""

    call_id: str
    tool: str
    action: str
    begun: str  # the time of its record, UTC
    ended: str  # of its outcome; "" while there is none
    status: str
    digests: Mapping[str, str]  # of arguments and result, keyed
    edges: tuple[Edge, ...]
    left_out: int
    pointers: tuple[str, ...]  # of all argument leaves; none if the arguments were erased
    erased: bool


class Lineage(Struct, frozen=True, kw_only=True):
    """A session and its calls in the order in which they began."""

    session: Session
    calls: tuple[Traced, ...]
    cut: bool


def lineage_of(store: Store, session: Session) -> Lineage:
    """What the record has of a session. Erased payloads leave their calls, without edges."""
    begun = {
        kind: store.find(kind=kind.value, session_id=session.session_id, limit=CALLS_MAX)
        for kind in (EventKind.CALL_INTENT, EventKind.CALL_MERGED, EventKind.CALL_OUTCOME)
    }
    ended = {
        body["call_id"]: body
        for record in begun[EventKind.CALL_OUTCOME]
        for body in [orjson.loads(record.body)]
    }
    records = sorted(
        (*begun[EventKind.CALL_INTENT], *begun[EventKind.CALL_MERGED]), key=lambda record: record.index
    )
    calls = tuple(_traced(store, record, ended) for record in records[-CALLS_MAX:])
    cut = len(records) > CALLS_MAX or any(len(found) >= CALLS_MAX for found in begun.values())
    return Lineage(session=session, calls=calls, cut=cut)


def _traced(store: Store, record: Record, ended: Mapping[str, Mapping[str, Any]]) -> Traced:
    body = orjson.loads(record.body)
    outcome = ended.get(body["call_id"], body if body["kind"] == EventKind.CALL_MERGED.value else {})
    arguments = store.payload(record.index, "arguments")
    edges = store.payload(record.index, "lineage")
    found, left_out = edges_from_json(edges) if edges else ([], 0)
    return Traced(
        call_id=body["call_id"],
        tool=body.get("tool", ""),
        action=body.get("action", ""),
        begun=body["time"],
        ended=outcome.get("time", ""),
        status=outcome.get("status", ""),
        digests={
            name: digest
            for name, digest in {
                "arguments": body.get("args_digest", ""),
                "result": outcome.get("result_digest", ""),
            }.items()
            if digest
        },
        edges=tuple(found),
        left_out=left_out,
        pointers=()
        if arguments is None
        else tuple(pointer for pointer, _ in leaves_of(orjson.loads(arguments))),
        erased=arguments is None,
    )
