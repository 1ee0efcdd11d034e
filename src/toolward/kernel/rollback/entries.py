"""What is stored of a rollback: its plan, where each step stands, how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.kernel.rollback.journal import Fences
from toolward.kernel.rollback.rows import intent_index
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.model.rollback import Plan, RollbackState, StepState
from toolward.model.session import Session
from toolward.ports.store import Store, Table

RollbackRow = dict[str, Any]
"""`rollback_id, session_id, to, by, why, plan, plan_hash, state, steps, began_ns`; at the end `residuals`."""

OVER: Final = (StepState.DONE.value, StepState.ACCEPTED.value)
"""States in which nothing is left to do about a step."""


def new_entry(plan: Plan, digest: str, *, by: Principal, why: str) -> RollbackRow:
    """The row of a rollback that begins."""
    waiting = {"state": StepState.WAITING.value, "begun": False, "tries": 0, "note": ""}
    return {
        "session_id": plan.session_id,
        "to": plan.to,
        "by": by.as_json(),
        "why": why,
        "plan": plan.as_json(),
        "plan_hash": digest,
        "state": RollbackState.RUNNING.value,
        "steps": {step.call_id: {**waiting, "accepted": []} for step in plan.steps},
    }


def check_whole(plan: Plan) -> None:
    """Raise `Denied`, naming each, when something would stay."""
    if not plan.residuals:
        return
    first = plan.residuals[0]
    raise Denied(
        f"not all of it can be undone: {first.tool}, call {first.call_id}: {first.reason}",
        code=ReasonCode.NOT_UNDOABLE,
        remedy="leave the option out to undo what can be undone",
        details=tuple((each.call_id, f"{each.tool}: {each.reason}") for each in plan.residuals),
    )


def residuals_of(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every effect that stands at the end: what could not be undone from the start, and what was not."""
    left = [dict(each) for each in row["plan"]["residuals"]]
    for step in row["plan"]["steps"]:
        mine = row["steps"][step["call_id"]]
        if mine["state"] != StepState.DONE.value:
            why = f"{mine['state']}: {mine['note']}"
            left.append({"call_id": step["call_id"], "tool": step["tool"], "reason": why})
    return left


def stuck_entry(store: Store, rollback_id: str, *, running: bool = False) -> tuple[RollbackRow, int]:
    """A rollback that waits for a person, with its version; with `running`, one that still runs as well.

    Raises `Rejected` for any other.
    """
    stored = store.get(Table.ROLLBACK, rollback_id)
    row: RollbackRow | None = orjson.loads(stored.body) if stored is not None else None
    states = (RollbackState.NEEDS_HUMAN.value, *((RollbackState.RUNNING.value,) if running else ()))
    if stored is None or row is None or row["state"] not in states:
        raise Rejected(
            f"`{rollback_id[:100]}` is no rollback that waits for a person",
            code=ReasonCode.NOT_PENDING,
            remedy="toolward sessions list",
        )
    return row, stored.version


def rows_of_rollbacks(store: Store, session_id: str = "") -> Iterator[RollbackRow]:
    """Every rollback, or those of one session, oldest first."""
    for stored in store.scan(Table.ROLLBACK):
        row: RollbackRow = orjson.loads(stored.body)
        if not session_id or row["session_id"] == session_id:
            yield row


def became(store: Store, session_id: str) -> dict[str, tuple[str, str]]:
    """Of each call that earlier rollbacks of a session are through with: how its step ended, and in which."""
    return {
        call_id: (step["state"], row["rollback_id"])
        for row in rows_of_rollbacks(store, session_id)
        for call_id, step in row["steps"].items()
        if step["state"] in OVER
    }


def check_no_doubt(store: Store, session_id: str) -> None:
    """Raise `Rejected` while an earlier rollback holds a step that may have been undone already.

    A new plan has new keys and knows nothing of that try: it would undo it a second time.
    """
    for row in rows_of_rollbacks(store, session_id):
        if row["state"] != RollbackState.NEEDS_HUMAN.value:
            continue
        for call_id, step in row["steps"].items():
            if step["begun"] and step["state"] not in OVER:
                raise Rejected(
                    f"an earlier rollback tried to undo call {call_id}, and what became of that is not known",
                    code=ReasonCode.IN_PROGRESS,
                    remedy=f"toolward sessions retry {row['rollback_id']}, or toolward sessions accept",
                    details=(("rollback", row["rollback_id"]), ("call", call_id)),
                )


def fence(fences: Fences, row: RollbackRow) -> None:
    """Keep others away from what is stuck, and let go of what is not any more."""
    held = fences.resources
    for resource in [name for name, holder in held.items() if holder == row["rollback_id"]]:
        del held[resource]
    for step in row["plan"]["steps"]:
        if row["steps"][step["call_id"]]["state"] not in OVER:
            held.update(dict.fromkeys(step["resources"], row["rollback_id"]))


def place_of(store: Store, session: Session, to: str) -> int:
    """The place in the log after which lies what a savepoint's name or a call bounds. Raises `Rejected`."""
    for mark in session.savepoints:
        if mark.name == to:
            return mark.log_index - 1  # the log had so many records then, counted from 0
    index = intent_index(store, to, session_id=session.session_id)
    if index < 0:
        raise Rejected(
            f"`{to[:100]}` is neither a savepoint nor a call of this session that wrote",
            remedy=f"toolward sessions show {session.session_id}",
        )
    return index - 1


def found_before(store: Store, rollback_id: str, call_id: str) -> dict[str, str] | None:
    """What an earlier try of a step found before it put anything back."""
    for record in store.find(kind=EventKind.ROLLBACK_STEP.value, call_id=call_id):
        if orjson.loads(record.body).get("rollback_id") == rollback_id:
            body = store.payload(record.index, "found")
            if body is not None:
                found: dict[str, str] = orjson.loads(body)
                return found
    return None
