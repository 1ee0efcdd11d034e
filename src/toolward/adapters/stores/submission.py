"""What every store does with a commit before it queues it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from toolward.errors import InvariantBroken
from toolward.model.event import Event, EventKind
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Change


def checked(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Refuse here, in the caller's hands, what the writer could not store: its failure would stop the log."""
    for change in changes:
        try:
            change.key.encode()
        except UnicodeEncodeError:
            raise InvariantBroken(f"a key of `{change.table}` is not unicode text") from None
    return tuple(changes)


def shredding(index: int, body: bytes, *, clock: Clock, ids: Ids) -> Event:
    """The record that says that the payloads of record `index` were destroyed."""
    record = orjson.loads(body)
    return Event(
        event_id=ids.new(),
        time_ns=clock.now_ns(),
        kind=EventKind.PAYLOAD_SHREDDED,
        call_id=record["call_id"],
        session_id=record["session_id"],
        tool=record["tool"],
        body={"index": index, "payloads": sorted(record.get("payload_digests", {}))},
    )
