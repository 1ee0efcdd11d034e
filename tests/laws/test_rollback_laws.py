"""Laws of the plan: whatever a session did, it is taken back backwards, and nothing beneath what stays."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from toolward.model.rollback import Effect, EffectStatus, RollbackState, StepState, Way, plan_from_json
from toolward.rules.resources import overlap
from toolward.rules.rollback import end_state, plan_hash, plan_rollback, step_key

PLACES = st.sampled_from(["file:/a", "file:/a/b", "file:/a/b/c", "file:/ab", "order:1", "order:2", "db"])


@st.composite
def histories(draw: st.DrawFn) -> list[Effect]:
    count = draw(st.integers(0, 12))
    return [
        Effect(
            call_id=f"call-{order}",
            session_id=draw(st.sampled_from(["mine", "mine", "other"])),
            tool="s/t",
            version="sha256:v",
            order=order * 3,
            status=draw(st.sampled_from(list(EffectStatus))),
            way=draw(st.sampled_from([Way.TOOL, Way.RESTORE, Way.RESTORE, Way.NONE])),
            resources=tuple(draw(st.lists(PLACES, max_size=2, unique=True))),
            until_ns=draw(st.sampled_from([0, 5, 50])),
            undone=draw(st.sampled_from(["", "", "", "earlier"])),
        )
        for order in range(count)
    ]


@given(histories(), st.integers(-1, 40), st.randoms())
def test_the_plan_is_the_same_however_the_journal_is_read(
    effects: list[Effect], after: int, chance: random.Random
) -> None:
    plan = plan_rollback("mine", effects, after=after, now_ns=20)
    mixed = list(effects)
    chance.shuffle(mixed)
    again = plan_rollback("mine", mixed, after=after, now_ns=20)
    assert plan_hash(again) == plan_hash(plan)
    assert plan_from_json(plan.as_json()) == plan


def test_of_several_others_that_changed_the_same_later_the_first_is_named() -> None:
    effects = [
        Effect(
            call_id=f"call-{order}",
            session_id=session,
            tool="s/t",
            version="sha256:v",
            order=order,
            status=EffectStatus.COMMITTED,
            way=Way.TOOL,
            resources=("file:/a",),
        )
        for order, session in enumerate(("mine", "other", "third"))
    ]
    plan = plan_rollback("mine", effects, after=-1)
    assert [residual.reason for residual in plan.residuals] == [
        "session other changed the same later, by call call-1"
    ]
    assert plan_rollback("mine", effects[::-1], after=-1) == plan


@given(histories(), st.integers(-1, 40))
def test_every_standing_effect_is_a_step_or_a_residual_and_no_other_is(
    effects: list[Effect], after: int
) -> None:
    plan = plan_rollback("mine", effects, after=after, now_ns=20)
    standing = {
        e.call_id
        for e in effects
        if e.session_id == "mine" and e.order > after and e.status is not EffectStatus.FAILED and not e.undone
    }
    steps, residuals = [s.call_id for s in plan.steps], [r.call_id for r in plan.residuals]
    assert sorted([*steps, *residuals]) == sorted(standing)
    assert all(residual.reason for residual in plan.residuals)


@given(histories())
def test_steps_go_backwards_and_wait_for_every_later_one_on_the_same_resource(effects: list[Effect]) -> None:
    plan = plan_rollback("mine", effects, after=-1, now_ns=20)
    orders = [step.order for step in plan.steps]
    assert orders == sorted(orders, reverse=True)
    for place, step in enumerate(plan.steps):
        later = [s.call_id for s in plan.steps[:place] if overlap(s.resources, step.resources)]
        assert list(step.after) == later


@given(histories())
def test_nothing_is_undone_beneath_an_effect_that_stays(effects: list[Effect]) -> None:
    plan = plan_rollback("mine", effects, after=-1, now_ns=20)
    steps = {step.call_id: step for step in plan.steps}
    for above in effects:
        stands = above.status is not EffectStatus.FAILED and not above.undone
        if not stands or above.call_id in steps:
            continue
        for below in steps.values():
            if above.session_id == "mine" or above.order > below.order:
                assert not (overlap(above.resources, below.resources) and above.order > below.order)


@given(PLACES, PLACES)
def test_meeting_is_symmetric_and_a_name_that_only_begins_alike_is_another(one: str, other: str) -> None:
    assert overlap([one], [other]) is overlap([other], [one])
    assert overlap([one], [one])
    assert not overlap(["file:/a"], ["file:/ab"])
    assert overlap(["file:/a"], ["file:/a/b/c"])


@given(histories(), st.lists(st.sampled_from(list(StepState)), max_size=12))
def test_a_rollback_ends_in_exactly_one_of_three_states(
    effects: list[Effect], drawn: list[StepState]
) -> None:
    plan = plan_rollback("mine", effects, after=-1, now_ns=20)
    states = (drawn + [StepState.DONE] * 12)[: len(plan.steps)]
    state = end_state(plan, states)
    whole = all(each is StepState.DONE for each in states) and not plan.residuals
    assert (state is RollbackState.COMPENSATED) is whole
    open_ = any(each not in (StepState.DONE, StepState.ACCEPTED) for each in states)
    assert (state is RollbackState.NEEDS_HUMAN) is open_


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_two_steps_share_a_key_only_if_call_and_plan_are_the_same(call: str, plan: str, other: str) -> None:
    assert (step_key(call, plan) == step_key(call, other)) is (plan == other)
