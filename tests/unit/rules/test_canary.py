"""When a canary goes on, when it ends, and when there is too little to tell."""

from __future__ import annotations

import itertools

import pytest

from toolward.model.gate import CanaryBounds, Verdict
from toolward.rules.canary import Sample, judge, larger_by_chance

BOUNDS = CanaryBounds(calls=50, minutes=10)
MINUTE = 60 * 1_000_000_000


def samples(bad: str, duration_us: int = 1_000, *, step_ns: int = MINUTE) -> list[Sample]:
    """One for each character, `x` for a bad one."""
    return [Sample(i * step_ns, each == "x", duration_us + i % 7) for i, each in enumerate(bad)]


def verdict(candidate: list[Sample], control: list[Sample]) -> tuple[Verdict, str]:
    now = candidate[-1].at_ns if candidate else 0
    check = judge(candidate, control, BOUNDS, since_ns=0, now_ns=now)
    return check.verdict, check.text


def test_no_data_is_held_and_says_how_much_is_missing() -> None:
    assert verdict([], []) == (Verdict.WAITS, "0 of 50 calls in 0 of 10 minutes so far")
    assert verdict(samples("." * 49), samples("." * 49))[0] is Verdict.WAITS


def test_enough_good_calls_pass() -> None:
    assert verdict(samples("." * 60), samples("." * 60)) == (Verdict.HOLDS, "0 of 60 calls failed")


def test_enough_calls_in_too_short_a_time_are_held() -> None:
    assert verdict(samples("." * 60, step_ns=1_000), samples("." * 60))[0] is Verdict.WAITS


def test_failures_in_a_row_end_it_even_with_few_calls() -> None:
    assert verdict(samples("..xxxxx"), []) == (Verdict.FAILS, "5 calls in a row failed")
    assert verdict(samples("..xxxx."), [])[0] is Verdict.WAITS


def test_an_error_budget_that_burns_ends_it_only_if_both_windows_burn() -> None:
    burning = samples("." * 20 + ".x.x.x.x.x.", step_ns=1_000_000_000)
    assert verdict(burning, [])[1].startswith("its error budget burns")
    long_ago = samples("x.x.x.x.x.x" + "." * 60)
    assert verdict(long_ago, [])[0] is Verdict.HOLDS


def test_more_errors_than_the_control_end_it_and_as_many_do_not() -> None:
    mine = samples(("." * 9 + "x") * 20)
    worse, text = verdict(mine, samples("." * 200))
    assert (worse, text) == (Verdict.FAILS, "20 of its 200 calls failed, 0 of the control's 200")
    assert verdict(mine, samples(("." * 9 + "x") * 20))[0] is Verdict.HOLDS


def test_a_slower_candidate_ends_only_if_it_matters() -> None:
    control = samples("." * 60, 1_000)
    assert verdict(samples("." * 60, 2_000), control)[0] is Verdict.FAILS
    assert verdict(samples("." * 60, 1_100), control)[0] is Verdict.HOLDS
    assert verdict(samples("." * 60, 1_000), control)[0] is Verdict.HOLDS


def exact(first: list[int], second: list[int]) -> float:
    """The same chance by counting every way in which the values could have been dealt out."""
    both = first + second
    wanted = sum((a > b) + (a == b) / 2 for a in first for b in second)
    hits = total = 0
    for chosen in itertools.combinations(range(len(both)), len(first)):
        mine = [both[i] for i in chosen]
        rest = [both[i] for i in range(len(both)) if i not in chosen]
        total += 1
        hits += sum((a > b) + (a == b) / 2 for a in mine for b in rest) >= wanted
    return hits / total


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([5, 6, 7, 8, 9, 10, 11], [1, 2, 3, 4, 6, 7, 8]),
        ([1, 4, 4, 9, 12, 15, 17], [1, 2, 4, 4, 8, 9, 13]),
        ([1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_the_test_of_mann_and_whitney_is_near_the_exact_one(first: list[int], second: list[int]) -> None:
    assert abs(larger_by_chance(first, second) - exact(first, second)) < 0.01


def test_values_that_are_all_equal_are_no_difference() -> None:
    assert larger_by_chance([5] * 20, [5] * 20) == 1.0
