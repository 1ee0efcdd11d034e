"""What is stored of a rollback: its plan, where each step stands, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.model.rollback import Plan, RollbackState, StepState
from toolward.ports.store import Store, Table

RollbackRow = dict[str, Any]
"""`rollback_id, session_id, to, by, why, plan, plan_hash, state, steps, began_ns`; at the end `residuals`."""


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


def stuck_entry(store: Store, rollback_id: str) -> RollbackRow:
    """The row of a rollback that waits for a person. Raises `Rejected` for any other."""
    stored = store.get(Table.ROLLBACK, rollback_id)
    row: RollbackRow | None = orjson.loads(stored.body) if stored is not None else None
    if row is None or row["state"] != RollbackState.NEEDS_HUMAN.value:
        raise Rejected(
            f"`{rollback_id[:100]}` is no rollback that waits for a person",
            code=ReasonCode.NOT_PENDING,
            remedy="toolward sessions list",
        )
    return row


def found_before(store: Store, rollback_id: str, call_id: str) -> dict[str, str] | None:
    """What an earlier try of a step found before it put anything back."""
    for record in store.find(kind=EventKind.ROLLBACK_STEP.value, call_id=call_id):
        if orjson.loads(record.body).get("rollback_id") == rollback_id:
            body = store.payload(record.index, "found")
            if body is not None:
                found: dict[str, str] = orjson.loads(body)
                return found
    return None
