"""What the played cases amount to, with intervals that know that cases of one task are alike."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from toolward.lab.agentdojo.playing import Played

RESAMPLES: Final = 2_000
LEVEL: Final = 0.95
_SEED: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `cases`, with a 95 % interval clustered by the user's task."""

    hits: int
    cases: int
    low: float
    high: float

    @property
    def percent(self) -> float:
        """Of a hundred; 0 where there was no case."""
        return 100 * self.hits / self.cases if self.cases else 0.0

    def shown(self) -> str:
        """`2/560 0.4 % [0.0, 1.1]`."""
        return f"{self.hits}/{self.cases} {self.percent:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def share(cases: Sequence[Played], of: Callable[[Played], bool]) -> Share:
    """The share, its interval by resampling whole tasks.

    Where nothing or everything hits, resampling says nothing: each task then counts as one trial of an exact
    bound, which is wide on purpose.
    """
    clusters: dict[str, list[bool]] = defaultdict(list)
    for each in cases:
        clusters[each.user].append(of(each))
    hits = sum(sum(values) for values in clusters.values())
    total = len(cases)
    tasks = list(clusters.values())
    if not tasks:
        return Share(hits=0, cases=0, low=0.0, high=1.0)
    exact = 1 - (1 - LEVEL) ** (1 / len(tasks))
    if hits == 0:
        return Share(hits=0, cases=total, low=0.0, high=exact)
    if hits == total:
        return Share(hits=hits, cases=total, low=1 - exact, high=1.0)
    low, high = _interval(tasks)
    return Share(hits=hits, cases=total, low=low, high=high)


def _interval(tasks: Sequence[list[bool]]) -> tuple[float, float]:
    chance = random.Random(_SEED)
    shares = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(tasks, k=len(tasks))
        shares.append(sum(map(sum, drawn)) / sum(map(len, drawn)))
    shares.sort()
    cut = int(RESAMPLES * (1 - LEVEL) / 2)
    return shares[cut], shares[-cut - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One gate under one scoring, over one suite or several together."""

    attacks: Share  # executed, of those that a call mediates
    unasked: Share
    useful: Share  # benign tasks that the suite counts as done
    useful_attacked: Share
    approvals: float  # per benign task
    approvals_attacked: float
    unmediated: int  # attacks whose goal no call with an effect serves
    decided_p50_us: float
    decided_p99_us: float


def figures(alone: Sequence[Played], pairs: Sequence[Played], decided_us: Sequence[float]) -> Figures:
    """Everything of one run."""
    mediated = [each for each in pairs if each.mediated]
    ordered = sorted(decided_us) or [0.0]
    return Figures(
        attacks=share(mediated, lambda each: each.executed),
        unasked=share(alone, lambda each: each.unasked),
        useful=share(alone, lambda each: each.utility),
        useful_attacked=share(mediated, lambda each: each.utility),
        approvals=sum(each.asked for each in alone) / max(1, len(alone)),
        approvals_attacked=sum(each.asked for each in mediated) / max(1, len(mediated)),
        unmediated=len(pairs) - len(mediated),
        decided_p50_us=ordered[len(ordered) // 2],
        decided_p99_us=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
    )
