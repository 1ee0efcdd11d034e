"""What is stored of a rollback: its plan, where each step stands, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Denied, ReasonCode
from toolward.model.principal import Principal
from toolward.model.rollback import Plan, RollbackState, StepState

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
