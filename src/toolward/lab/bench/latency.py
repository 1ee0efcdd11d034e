"""Part 3: what a caller waits longer for, at a load that leaves room, beside one group commit."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from toolward.lab import bench_audit
from toolward.lab.bench.calls import Effort, Load, Target
from toolward.lab.bench.processes import HOME
from toolward.lab.report import Row

PART_OF_CAPACITY: Final = 0.3
COMMITS_GOAL: Final = 2.5
_GROUP: Final = 32
"""Records that wait at once: below that a commit is one record's, not a group's."""
_CONNECTIONS: Final = 128
_COMMITS_S: Final = 1.0


class _Round(NamedTuple):
    """p50 of everything within one half minute, in milliseconds: a disk is another one a minute later."""

    group_ms: float
    lone_ms: float
    direct_ms: float
    floor_ms: float
    ours_ms: float
    ours_p99_ms: float


def _commit_ms(in_flight: int) -> float:
    """What a caller waits for one durable record with its change of state, p50."""
    with tempfile.TemporaryDirectory(dir=HOME) as place:
        load = bench_audit.one_round(Path(place), in_flight, state=True, seconds=_COMMITS_S)
        return uvloop.run(load).p50_ms


def measure(
    direct: Target, least: Target, governed: Target, load: Load, effort: Effort, *, capacity: float
) -> list[Row]:
    """`capacity` is what the governed target did with 32 in flight; `least` is the floor.

    Figures are medians of rounds, each with a group commit of its own beside: what one of 32 callers waits
    for its record. A read waits for one commit and a write for two in turn; both have the same goal.
    """
    rate = capacity * PART_OF_CAPACITY
    rounds, wrong, first_wrong = [], 0, ""
    for _ in range(effort.rounds):
        group, lone = _commit_ms(_GROUP), _commit_ms(1)
        bare = load.run(direct, connections=_CONNECTIONS, seconds=effort.seconds, rate=rate)
        floor = load.run(least, connections=_CONNECTIONS, seconds=effort.seconds, rate=rate)
        ours = load.run(governed, connections=_CONNECTIONS, seconds=effort.seconds * 2, rate=rate)
        rounds.append(_Round(group, lone, bare.p50_ms, floor.p50_ms, ours.p50_ms, ours.p99_ms))
        for each in (bare, floor, ours):
            wrong, first_wrong = wrong + each.wrong, first_wrong or each.first_wrong
    rows = _rows(f"{governed.name}, open loop at {rate:.0f} calls/s", rounds)
    if wrong:
        what = f"{governed.name}, and what it is compared with: wrong replies"
        rows.append(Row(what, f"{wrong}: {first_wrong}", "", "none", holds=False))
    return rows


def _rows(what: str, rounds: list[_Round]) -> list[Row]:
    group, lone, direct, floor, ours, p99 = map(statistics.median, zip(*rounds, strict=True))
    added = ours - direct
    times = statistics.median((each.ours_ms - each.direct_ms) / each.group_ms for each in rounds)
    return [
        Row(f"{what}: p50", round(ours, 2), "ms"),
        Row(f"{what}: p99", round(p99, 2), "ms"),
        Row(f"{what}: added to direct, p50", round(added, 2), "ms"),
        Row(f"{what}: the floor adds, p50", round(floor - direct, 2), "ms"),
        Row(f"{what}: a group commit beside it, {_GROUP} in flight, p50", round(group, 2), "ms"),
        Row(
            f"{what}: added p50 in group commits",
            round(times, 2),
            "x",
            f"<= {COMMITS_GOAL:g}",
            times <= COMMITS_GOAL,
        ),
        Row(f"{what}: the commit of a record alone, p50", round(lone, 2), "ms"),
        Row(f"{what}: added p50 in commits of a record alone", round(added / lone, 2), "x"),
    ]
