"""After a start: every intent that has no outcome gets one, through the same settle code."""

from __future__ import annotations

from toolward.errors import ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.stages.settle import Settle
from toolward.model.event import EventKind
from toolward.ports.store import Store


async def recover(store: Store, auditor: Auditor, settle: Settle) -> int:
    """Settle what a crash left open as unknown; returns how many.

    Whether the effect happened is not known here, and nothing is ever tried again blindly: the record
    says `unknown_outcome`, and probing belongs to the tool's manifest.
    """
    settled = 0
    for left in store.open_calls():
        event = auditor.event(
            EventKind.CALL_OUTCOME,
            call_id=left.call_id,
            session_id=left.session_id,
            tool=left.tool,
            body={
                "status": "unknown",
                "reason": ReasonCode.UNKNOWN_OUTCOME.value,
                "settled_by": "recovery",
            },
        )
        changes = [each for clause in settle.clauses.every for each in clause.abandon(left)]
        await settle.close(event, changes)
        settled += 1
    return settled
