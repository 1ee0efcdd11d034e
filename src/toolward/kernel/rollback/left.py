"""Calls that a crash cut off: how they left their paths."""

from __future__ import annotations

from toolward.kernel.audit import Auditor
from toolward.kernel.rollback.journal import Journal
from toolward.kernel.rollback.rows import put_effect, read_effect
from toolward.model.event import EventKind
from toolward.model.rollback import EffectStatus as Status
from toolward.ports.store import Store


async def look_at_left(journal: Journal, store: Store, auditor: Auditor) -> None:
    """Where the paths tell whether a call had its effect, that is written down."""
    left, journal.left = journal.left, []
    for session_id, call_id in left:
        effect = read_effect(store, session_id, call_id)
        if effect is None or not effect["paths"]:
            continue
        await journal.look_at(effect)
        if not effect["after"]:
            continue
        gone = effect["after"] == effect["before"]
        effect["status"] = (Status.FAILED if gone else Status.UNKNOWN).value
        event = auditor.event(
            EventKind.CALL_PROBED,
            call_id=call_id,
            session_id=session_id,
            tool=effect["tool"],
            body={"answer": "no" if gone else "unknown", "by": "recovery"},
        )
        await store.commit([event], [put_effect(effect)])
