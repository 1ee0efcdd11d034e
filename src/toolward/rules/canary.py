"""Whether a canary goes on: the candidate's calls beside those of the present version. Pure.

Both are watched over the same time, since a comparison of before and after blames the candidate for the
weather. It ends by itself on failures in a row, on a burn rate that would use up the error budget (both
windows of the SRE workbook's page alert), and where errors or latency are worse than the control's beyond
chance. Few calls say nothing: then it is held, neither passed nor ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median
from typing import Final, NamedTuple

from toolward.model.gate import CanaryBounds, Check, Verdict

BURN_MAX: Final = 14.4
"""Two per cent of a thirty days' budget in an hour."""
BURN_WINDOWS_S: Final = (300, 3600)
BAD_MIN: Final = 5
"""Bad calls below which a rate says nothing."""
SAMPLES_MIN: Final = 20
"""Of each population, before they are compared."""
CHANCE_MAX: Final = 0.001
"""Of calling a difference that is none; small, since it is asked after every call."""
SLOWER_MIN: Final = 1.25
"""Ratio of medians from which a slower candidate matters."""
_S: Final = 1_000_000_000


class Sample(NamedTuple):
    """One call: when it ended, whether it was good, and how long it took."""

    at_ns: int
    bad: bool
    duration_us: int


def judge(
    candidate: Sequence[Sample],
    control: Sequence[Sample],
    bounds: CanaryBounds,
    *,
    since_ns: int,
    now_ns: int,
) -> Check:
    """What is to be done: `FAILS` ends the canary, `WAITS` holds it, `HOLDS` lets it be promoted."""
    worse = (
        _in_a_row(candidate, bounds)
        or _burns(candidate, bounds, now_ns)
        or _more_errors(candidate, control)
        or _slower(candidate, control)
    )
    if worse:
        return Check(what="canary", verdict=Verdict.FAILS, text=worse)
    minutes = (now_ns - since_ns) // (60 * _S)
    if len(candidate) < bounds.calls or minutes < bounds.minutes:
        text = f"{len(candidate)} of {bounds.calls} calls in {minutes} of {bounds.minutes} minutes so far"
        return Check(what="canary", verdict=Verdict.WAITS, text=text)
    bad = sum(each.bad for each in candidate)
    return Check(what="canary", verdict=Verdict.HOLDS, text=f"{bad} of {len(candidate)} calls failed")


def _in_a_row(candidate: Sequence[Sample], bounds: CanaryBounds) -> str:
    last = candidate[-bounds.failures :]
    if len(last) == bounds.failures and all(each.bad for each in last):
        return f"{bounds.failures} calls in a row failed"
    return ""


def _burns(candidate: Sequence[Sample], bounds: CanaryBounds, now_ns: int) -> str:
    rates = []
    for window_s in BURN_WINDOWS_S:
        inside = [each.bad for each in candidate if each.at_ns >= now_ns - window_s * _S]
        if sum(inside) < BAD_MIN:
            return ""
        rates.append(sum(inside) / len(inside) / (1 - bounds.slo))
    if min(rates) > BURN_MAX:
        return f"its error budget burns {min(rates):.0f} times too fast"
    return ""


def _more_errors(candidate: Sequence[Sample], control: Sequence[Sample]) -> str:
    """A one-sided test of two proportions."""
    mine, theirs = len(candidate), len(control)
    bad, bad_theirs = sum(each.bad for each in candidate), sum(each.bad for each in control)
    if min(mine, theirs) < SAMPLES_MIN or bad < BAD_MIN:
        return ""
    pooled = (bad + bad_theirs) / (mine + theirs)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / mine + 1 / theirs))
    if not spread or _by_chance((bad / mine - bad_theirs / theirs) / spread) > CHANCE_MAX:
        return ""
    return f"{bad} of its {mine} calls failed, {bad_theirs} of the control's {theirs}"


def _slower(candidate: Sequence[Sample], control: Sequence[Sample]) -> str:
    """Mann and Whitney's test on the calls that were good, and a difference that matters."""
    mine = [each.duration_us for each in candidate if not each.bad]
    theirs = [each.duration_us for each in control if not each.bad]
    if min(len(mine), len(theirs)) < SAMPLES_MIN:
        return ""
    slow, usual = median(mine), median(theirs)
    if slow <= SLOWER_MIN * usual or larger_by_chance(mine, theirs) > CHANCE_MAX:
        return ""
    return f"its median is {slow / 1000:.1f} ms, the control's {usual / 1000:.1f} ms"


def larger_by_chance(first: Sequence[int], second: Sequence[int]) -> float:
    """The chance that `first` only looks larger than `second`: Mann-Whitney U, normal approximation.

    Ties are corrected for; both need about twenty values.
    """
    n, m = len(first), len(second)
    ordered = sorted((*((value, True) for value in first), *((value, False) for value in second)))
    ranks, tied, position = 0.0, 0, 0
    while position < n + m:
        end = position
        while end < n + m and ordered[end][0] == ordered[position][0]:
            end += 1
        size = end - position
        tied += size**3 - size
        mine = sum(is_first for _, is_first in ordered[position:end])
        ranks += mine * (position + end + 1) / 2
        position = end
    u = ranks - n * (n + 1) / 2
    variance = n * m / 12 * ((n + m + 1) - tied / ((n + m) * (n + m - 1)))
    return _by_chance((u - n * m / 2 - 0.5) / math.sqrt(variance)) if variance > 0 else 1.0


def _by_chance(z: float) -> float:
    return 1 - NormalDist().cdf(z)
