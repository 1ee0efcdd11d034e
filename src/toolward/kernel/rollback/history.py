"""What a session wrote, all of it, with what became of each in earlier rollbacks."""

from __future__ import annotations

from dataclasses import replace

from toolward.kernel.rollback.entries import became
from toolward.kernel.rollback.rows import effect_of, rows_of, without_row
from toolward.model.rollback import Effect, StepState
from toolward.ports.store import Store


def effects_of(store: Store, session_id: str) -> list[Effect]:
    """Its effects in order, from the journal, the log and the rollbacks."""
    ended = became(store, session_id)
    rows = [row for row, _ in rows_of(store, session_id)]
    rows += without_row(store, session_id)
    effects: list[Effect] = []
    for row in rows:
        state, rollback_id = ended.get(row["call_id"], ("", ""))
        effects.append(
            replace(
                effect_of(store, row),
                undone=rollback_id if state == StepState.DONE.value else row["undone"],
                accepted=rollback_id if state == StepState.ACCEPTED.value else "",
            )
        )
    return sorted(effects, key=lambda effect: effect.order)
