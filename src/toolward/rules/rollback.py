"""The plan of a rollback: pure, from recorded data alone, so that whoever computes it gets the same hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from toolward.model.rollback import Effect, EffectStatus, Plan, Residual, RollbackState, Step, StepState, Way
from toolward.rules.canonical import canonical
from toolward.rules.resources import overlap

NOT_PROMISED: Final = "nothing was declared that undoes it"
WINDOW_OVER: Final = "its time for being undone is over"
_STILL: Final = (EffectStatus.COMMITTED, EffectStatus.UNKNOWN, EffectStatus.OPEN)


def plan_rollback(
    session_id: str, effects: Sequence[Effect], *, after: int, to: str = "", now_ns: int = 0
) -> Plan:
    """What takes back the session's effects whose order is greater than `after`.

    `effects` are those of all sessions. Steps come in reverse order, each with the later steps on the same
    resources before it. What can not be undone is a residual, and so is whatever lies beneath one on the same
    resource: undoing under an effect that stays would leave a state that never was.
    """
    mine = sorted(
        (e for e in effects if e.session_id == session_id and e.order > after and _stands(e)),
        key=lambda e: -e.order,
    )
    # in order: of several that changed the same later, the first is named, however the journal was read
    others = sorted((e for e in effects if e.session_id != session_id and _stands(e)), key=lambda e: e.order)
    steps: list[Step] = []
    residuals: list[Residual] = []
    staying: list[Effect] = []
    taken: list[Effect] = []
    for effect in mine:
        why = _stays(effect, others, staying, now_ns=now_ns)
        if why:
            residuals.append(Residual(call_id=effect.call_id, tool=effect.tool, reason=why))
            staying.append(effect)
            continue
        steps.append(
            Step(
                call_id=effect.call_id,
                tool=effect.tool,
                version=effect.version,
                order=effect.order,
                way=effect.way,
                resources=effect.resources,
                after=tuple(e.call_id for e in taken if overlap(e.resources, effect.resources)),
                certain=effect.status is EffectStatus.COMMITTED,
            )
        )
        taken.append(effect)
    return Plan(session_id=session_id, to=to, steps=tuple(steps), residuals=tuple(residuals))


def _stands(effect: Effect) -> bool:
    return effect.status in _STILL and not effect.undone


def _stays(effect: Effect, others: Sequence[Effect], staying: Sequence[Effect], *, now_ns: int) -> str:
    """Why an effect can not be undone, or ''."""
    if effect.accepted:
        return f"two people let it stay, in rollback {effect.accepted}"
    if effect.way is Way.NONE:
        return NOT_PROMISED
    if effect.until_ns and now_ns > effect.until_ns:
        return WINDOW_OVER
    for other in others:
        if other.order > effect.order and overlap(other.resources, effect.resources):
            return f"session {other.session_id} changed the same later, by call {other.call_id}"
    for above in staying:
        if overlap(above.resources, effect.resources):
            return f"call {above.call_id} changed the same later, and that stays"
    return ""


def plan_hash(plan: Plan) -> str:
    """`sha256:<hex>` of the plan's canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical(plan.as_json())).hexdigest()


def step_key(call_id: str, digest: str) -> str:
    """The key of a step: every try, by any worker, of one plan has the same."""
    return hashlib.sha256(canonical([call_id, "undo", digest])).hexdigest()


def end_state(plan: Plan, states: Sequence[StepState]) -> RollbackState:
    """The one state in which a rollback ended, from the states of its steps in order."""
    if any(state not in (StepState.DONE, StepState.ACCEPTED) for state in states):
        return RollbackState.NEEDS_HUMAN
    if plan.residuals or StepState.ACCEPTED in states:
        return RollbackState.PARTIALLY_COMPENSATED
    return RollbackState.COMPENSATED
