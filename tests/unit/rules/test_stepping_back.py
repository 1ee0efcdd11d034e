"""When the gateway steps back, and when it tries again."""

from __future__ import annotations

import pytest

from toolward.errors import ReasonCode
from toolward.model.call import Failed, RawOutcome, Returned, Stopped
from toolward.model.resilience import Circuit, Limits, Phase
from toolward.model.tool import Effect, Manifest
from toolward.rules.resilience.admitting import LEAST, next_limit
from toolward.rules.resilience.circuit import (
    HEALTHY_NS,
    SPREAD,
    after,
    is_forgotten,
    let_in,
    on_trial,
    undecided,
    wait_s,
)
from toolward.rules.resilience.retrying import (
    AT_ONCE_MAX,
    BACKOFF_MAX_MS,
    FLOOR,
    Budget,
    backoff_s,
    earned,
    left,
    may_retry,
    spend,
)
from toolward.rules.resilience.voices import is_shared
from toolward.rules.resilience.weighing import Says, says

SECOND = 1_000_000_000
LIMITS = Limits(
    failures=5,
    failed_percent=50,
    open_s=30,
    open_max_s=300,
    in_flight=8,
    queue=8,
    queue_wait_ms=100,
    retries=1,
    retry_percent=20,
)
UNREACHED = Failed(code=-32000, message="x", reason=ReasonCode.TOOL_UNREACHABLE.value, from_server=False)
REFUSED_HERE = Failed(code=-32001, message="x", reason=ReasonCode.QUARANTINED.value, from_server=False)
LOST = Stopped(reason=ReasonCode.UNKNOWN_OUTCOME.value, message="x")
LATE = Stopped(reason=ReasonCode.TIMED_OUT.value, message="x")
DONE = Returned(result={}, size_bytes=2)


def ended(circuit: Circuit, outcomes: str, now_ns: int = 0) -> Circuit:
    """`circuit` after calls that went well (`.`) or failed (`x`)."""
    for each in outcomes:
        circuit = after(circuit, failed=each == "x", now_ns=now_ns, limits=LIMITS, chance=0.0)
    return circuit


@pytest.mark.parametrize(
    ("outcomes", "phase"),
    [
        ("xxxx", Phase.CLOSED),
        ("xxxxx", Phase.OPEN),
        ("xxxx.xxxx", Phase.CLOSED),
        ("x." * 9, Phase.CLOSED),
        ("x." * 9 + "x", Phase.OPEN),  # ten of twenty
        ("x.." * 20, Phase.CLOSED),
    ],
)
def test_five_failures_in_a_row_or_half_of_the_last_twenty_open_it(outcomes: str, phase: Phase) -> None:
    assert ended(Circuit(), outcomes).phase is phase


def test_it_lets_one_call_find_out_when_its_time_has_passed() -> None:
    opened = ended(Circuit(), "xxxxx")
    assert (opened.until_ns, wait_s(opened, 0)) == (30 * SECOND, 30)
    assert not let_in(opened, 30 * SECOND - 1)
    assert let_in(opened, 30 * SECOND)
    trial = on_trial(opened)
    assert not let_in(trial, 40 * SECOND)  # nobody else meanwhile
    assert let_in(ended(trial, ".", 40 * SECOND), 40 * SECOND)


def test_each_opening_is_longer_up_to_a_bound_and_healthy_time_is_taken_off() -> None:
    circuit, now = ended(Circuit(), "xxxxx"), 0
    seconds = []
    for _ in range(12):
        now = circuit.until_ns
        circuit = ended(on_trial(circuit), "x", now)
        seconds.append((circuit.until_ns - now) // SECOND)
    assert seconds == [60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300, 300]
    closed = ended(on_trial(circuit), ".", now)
    assert not is_forgotten(closed, now)
    assert is_forgotten(closed, now + 13 * HEALTHY_NS)
    again = ended(closed, "xxxxx", now + 11 * HEALTHY_NS)
    assert again.opened == 3


def test_gateways_that_lost_the_same_server_do_not_come_back_at_once() -> None:
    late = Circuit()
    for _ in range(5):
        late = after(late, failed=True, now_ns=0, limits=LIMITS, chance=1.0)
    assert late.until_ns == int(30 * (1 + SPREAD) * SECOND)


def test_a_trial_that_says_nothing_makes_the_next_call_the_trial() -> None:
    trial = on_trial(ended(Circuit(), "xxxxx"))
    assert let_in(undecided(trial, 77), 77)
    assert undecided(Circuit(), 77) == Circuit()


@pytest.mark.parametrize(
    ("voices", "shared"),
    [
        ("aaaaa", False),
        ("aaaab", False),
        ("aaabb", True),
        ("abcde", True),
        ("ab", False),
        ("bbbaaaaa", False),
    ],
)
def test_what_fails_for_one_caller_is_not_everybodys(voices: str, shared: bool) -> None:
    assert is_shared(tuple(voices)) is shared


@pytest.mark.parametrize(
    ("outcome", "what"),
    [
        (DONE, Says.WELL),
        (Returned(result={"isError": True}, size_bytes=2), Says.WELL),
        (Failed(code=-32602, message="x", reason="tool_failed"), Says.WELL),
        (Failed(code=-32603, message="x", reason="tool_failed"), Says.TOOL_FAILED),
        (LATE, Says.TOOL_FAILED),
        (UNREACHED, Says.SERVER_FAILED),
        (LOST, Says.SERVER_FAILED),
        (Stopped(reason=ReasonCode.KILLED.value, message="x"), Says.SERVER_FAILED),
        (Stopped(reason=ReasonCode.STOPPED.value, message="x"), Says.NOTHING),
        (REFUSED_HERE, Says.NOTHING),
    ],
)
def test_only_what_the_server_is_at_fault_for_counts_against_it(outcome: RawOutcome, what: Says) -> None:
    assert says(outcome, alone=False) is what
    alone = Says.TOOL_FAILED if what is Says.SERVER_FAILED else what
    assert says(outcome, alone=True) is alone


@pytest.mark.parametrize(
    ("outcome", "effect", "egress", "keyed", "again"),
    [
        (UNREACHED, Effect.READ_ONLY, True, False, True),
        (LOST, Effect.READ_ONLY, False, False, True),
        (LOST, Effect.READ_ONLY, True, False, False),  # it may have been seen outside
        (LATE, Effect.READ_ONLY, False, False, False),  # its time is over
        (UNREACHED, Effect.IDEMPOTENT_WRITE, False, True, True),
        (UNREACHED, Effect.IDEMPOTENT_WRITE, False, False, False),
        (LOST, Effect.IDEMPOTENT_WRITE, False, True, False),
        (UNREACHED, Effect.REVERSIBLE, False, True, False),
        (UNREACHED, Effect.COMPENSABLE, False, True, False),
        (UNREACHED, Effect.IRREVERSIBLE, False, True, False),
        (LOST, Effect.IRREVERSIBLE, False, True, False),
        (REFUSED_HERE, Effect.READ_ONLY, False, False, False),
        (DONE, Effect.READ_ONLY, False, False, False),
    ],
)
def test_a_call_is_sent_again_only_where_that_does_no_harm(
    outcome: RawOutcome, effect: Effect, egress: bool, keyed: bool, again: bool
) -> None:
    assert may_retry(outcome, Manifest(effect=effect, egress=egress), keyed=keyed) is again


def test_retries_are_a_fifth_of_all_calls_and_three_in_ten_seconds_however_few_those_are() -> None:
    budget, retried = Budget(), 0
    for calls in range(1, 1_001):
        budget = earned(budget, calls=calls, now_ns=0, percent=20)
        if left(budget):
            budget, retried = spend(budget), retried + 1
    assert retried == 200 + FLOOR
    later = earned(budget, calls=1_000, now_ns=10 * SECOND, percent=20)
    assert left(later) == FLOOR
    assert left(earned(budget, calls=1_000_000, now_ns=10 * SECOND, percent=20)) == AT_ONCE_MAX


def test_a_retry_waits_for_anything_up_to_a_cap() -> None:
    assert backoff_s(1, 0.0) == 0.0
    assert [backoff_s(retry, 1.0) for retry in (1, 2, 3)] == [0.025, 0.05, 0.1]
    assert backoff_s(400, 1.0) == BACKOFF_MAX_MS / 1000


def test_a_late_loop_takes_on_fewer_calls_and_slowly_more_when_it_is_not() -> None:
    limit = next_limit(1_024, most=1_024, in_flight=400, late=True)
    assert limit == 300
    for _ in range(50):
        limit = next_limit(limit, most=1_024, in_flight=limit, late=True)
    assert limit == LEAST
    for _ in range(50):
        limit = next_limit(limit, most=1_024, in_flight=limit, late=False)
    assert limit == 1_024
