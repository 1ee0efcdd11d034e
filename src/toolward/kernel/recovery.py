"""After a start: every intent that has no outcome gets one, through the same settle code."""

from __future__ import annotations

import orjson

from toolward.errors import ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.stages.settle import Settle
from toolward.model.event import EventKind
from toolward.ports.store import Store, Table


async def recover(store: Store, auditor: Auditor, settle: Settle) -> int:
    """Settle what a crash left open as unknown; returns how many.

    Whether the effect happened is not known here, and nothing is ever tried again blindly: the record
    says `unknown_outcome`, and probing belongs to the tool's manifest.
    """
    settled = 0
    for row in list(store.scan(Table.OPEN_INTENT)):
        left = orjson.loads(row.body)
        event = auditor.event(
            EventKind.CALL_OUTCOME,
            call_id=row.key,
            session_id=left["session_id"],
            tool=left["tool"],
            body={
                "status": "unknown",
                "reason": ReasonCode.UNKNOWN_OUTCOME.value,
                "settled_by": "recovery",
            },
        )
        changes = [each for clause in settle.clauses.every for each in clause.abandon(row.key, left)]
        await settle.close(event, changes, open_intent=True)
        settled += 1
    return settled
