"""Bytes for each destination: what is of today, what is unusual, and that it can not be taught."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from toolward.rules.signals.cusum import BUCKET_NS, DAY_NS, LEARN_BUCKETS, Traffic, sent, traffic_from_json

CHANCE = random.Random(6)
START_NS = 20_000 * DAY_NS


def after(sizes: list[int], traffic: Traffic | None = None, minute: int = 0) -> tuple[Traffic, int]:
    """A minute for each size; how many minutes were a surge."""
    traffic, surges = traffic or Traffic(), 0
    for step, size in enumerate(sizes):
        traffic = sent(traffic, size, START_NS + (minute + step) * BUCKET_NS)
        surges += traffic.surge
    return traffic, surges


def usual(minutes: int) -> list[int]:
    return [CHANCE.randint(1_500, 2_500) for _ in range(minutes)]


def test_a_day_of_the_usual_raises_nothing() -> None:
    assert after(usual(1_000))[1] == 0


def test_nothing_is_unusual_before_enough_was_seen() -> None:
    assert after([1, 10**9])[1] == 0


def test_one_large_upload_is_a_surge_at_once() -> None:
    traffic, _ = after(usual(30))
    assert sent(traffic, 100_000, START_NS + 30 * BUCKET_NS).surge


def test_many_small_ones_in_one_minute_are_too() -> None:
    traffic, _ = after(usual(30))
    for _ in range(50):
        traffic = sent(traffic, 2_000, START_NS + 30 * BUCKET_NS)
    assert traffic.surge


def test_a_steady_drip_of_more_than_before_is_told_within_ten_minutes() -> None:
    traffic, _ = after(usual(60))
    drip = [size + 1_500 for size in usual(10)]
    assert after(drip, traffic, 60)[1] > 0


def test_a_surge_teaches_little_and_is_over_after_quiet() -> None:
    traffic, _ = after(usual(30))
    before = traffic.usual
    traffic, surges = after([100_000] * 20, traffic, 30)
    assert surges == 20
    assert traffic.usual <= before * 2
    traffic, _ = after(usual(1), traffic, 30 + 20 + 60)
    assert not traffic.surge


def test_bytes_of_today_begin_anew_at_midnight() -> None:
    traffic = sent(sent(Traffic(), 100, START_NS), 50, START_NS + BUCKET_NS)
    assert traffic.in_day == 150
    assert sent(traffic, 7, START_NS + DAY_NS).in_day == 7


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**12)), max_size=60))
def test_the_state_is_integers_that_come_back_as_they_were(steps: list[tuple[int, int]]) -> None:
    traffic, now = Traffic(), START_NS
    for size, gap_ns in steps:
        now += gap_ns
        traffic = sent(traffic, size, now)
        assert traffic_from_json(traffic.as_json()) == traffic
        assert traffic.excess >= 0
        if traffic.samples < LEARN_BUCKETS:
            assert not traffic.surge
