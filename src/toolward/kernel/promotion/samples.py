"""Calls as a judge of versions sees them: good or bad, and how long they took."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import orjson

from toolward.errors import ReasonCode as Code
from toolward.model.call import Failed, RawOutcome, Returned
from toolward.model.event import EventKind
from toolward.model.tool import Channel
from toolward.ports.store import Store
from toolward.rules.canary import Sample

NOT_ITS_FAULT: Final = frozenset(
    {
        Code.STALE_DEFINITION.value,
        Code.QUARANTINED.value,
        Code.REVOKED.value,
        Code.STOPPED.value,
        Code.DENIED.value,
        Code.UNKNOWN_OUTCOME.value,
        Code.EGRESS_DENIED.value,
        Code.AUDIT_UNAVAILABLE.value,
    }
)
"""Ends of a call that say nothing of the version: the operator's word, the caller that left, the gateway."""
_NS_IN_US: Final = 1_000


def sample_of(outcome: RawOutcome, *, at_ns: int, took_us: int) -> Sample | None:
    """The call as a sample, None where its end says nothing of the tool."""
    if isinstance(outcome, Returned):
        return Sample(at_ns, outcome.result.get("isError") is True, took_us)
    if outcome.reason in NOT_ITS_FAULT and not (isinstance(outcome, Failed) and outcome.from_server):
        return None
    return Sample(at_ns, bad=True, duration_us=took_us)


def samples_of(
    store: Store, key: str, channel: Channel, *, since_ns: int, limit: int
) -> Iterator[tuple[str, Sample]]:
    """The calls of a tool in a channel out of the log, oldest first, each with its version's digest."""
    intents: dict[str, str] = {}
    for kind in (EventKind.CALL_INTENT, EventKind.CALL_MERGED):
        for body in _bodies(store, kind, key, since_ns, limit):
            if body["channel"] == channel.value and "undo_of" not in body:
                intents[body["call_id"]] = body["version"]
    outcomes = [
        body
        for kind in (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED)
        for body in _bodies(store, kind, key, since_ns, limit)
    ]
    for body in sorted(outcomes, key=lambda each: str(each["time"])):
        digest = intents.get(body["call_id"])
        if digest and body.get("reason", "") not in NOT_ITS_FAULT:
            bad = body["status"] != "returned"
            yield digest, Sample(_ns(str(body["time"])), bad, int(body.get("duration_us", 0)))


def _bodies(store: Store, kind: EventKind, key: str, since_ns: int, limit: int) -> list[dict[str, Any]]:
    found = store.find(kind=kind.value, tool=key, since_ns=since_ns, limit=limit)
    return [orjson.loads(record.body) for record in found]


def _ns(time: str) -> int:
    """Of a record's time, which has microseconds."""
    moment = datetime.fromisoformat(time)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * _NS_IN_US
