"""Part 3: what a caller waits longer for, at a load that leaves room, beside one group commit."""

from __future__ import annotations

import tempfile
from pathlib import Path

import uvloop

from toolward.lab import bench_audit
from toolward.lab.bench.calls import Effort, Load, Target
from toolward.lab.bench.processes import HOME
from toolward.lab.report import Row

PART_OF_CAPACITY = 0.3
COMMITS_GOAL = 2.5
_CONNECTIONS = 128
_COMMITS_S = 1.0


def _commit_ms() -> float:
    """What a single caller waits for one durable record with its change of state, p50."""
    with tempfile.TemporaryDirectory(dir=HOME) as place:
        return uvloop.run(bench_audit.one_round(Path(place), 1, state=True, seconds=_COMMITS_S)).p50_ms


def measure(  # noqa: PLR0913 -- three targets, and how they are called
    direct: Target,
    least: Target,
    governed: Target,
    load: Load,
    effort: Effort,
    *,
    capacity: float,
    commits: int,
) -> list[Row]:
    """`capacity` is what the governed target did with 32 in flight; `least` is the floor.

    `commits` is how many a call waits for one after the other: two where an effect must not begin before
    its intent is durable. A commit is measured right before and right after, since a disk is another one a
    minute later. What the floor adds at the same rate, with its two commits, is shown beside: on a slow
    machine waking up costs more than the disk, which no single commit in a loop shows.
    """
    rate = capacity * PART_OF_CAPACITY
    before = _commit_ms()
    bare = load.run(direct, connections=_CONNECTIONS, seconds=effort.seconds, rate=rate)
    floor = load.run(least, connections=_CONNECTIONS, seconds=effort.seconds, rate=rate)
    seen = load.run(governed, connections=_CONNECTIONS, seconds=effort.seconds * 2, rate=rate)
    commit_ms = (before + _commit_ms()) / 2
    added = seen.p50_ms - bare.p50_ms
    times = added / commit_ms
    goal = COMMITS_GOAL * commits
    what = f"{governed.name}, open loop at {rate:.0f} calls/s"
    rows = [
        Row(f"{what}: p50", round(seen.p50_ms, 2), "ms"),
        Row(f"{what}: p99", round(seen.p99_ms, 2), "ms"),
        Row(f"{what}: added to direct, p50", round(added, 2), "ms"),
        Row("one group commit right before and after, p50", round(commit_ms, 2), "ms"),
        Row(
            f"the floor at {rate:.0f} calls/s: added to direct, p50",
            round(floor.p50_ms - bare.p50_ms, 2),
            "ms",
        ),
        Row(
            f"{what}: added p50 in group commits",
            round(times, 2),
            "x",
            f"<= {goal:g}",
            times <= goal,
        ),
    ]
    if seen.wrong:
        rows.append(
            Row(f"{what}: wrong replies", f"{seen.wrong}: {seen.first_wrong}", "", "none", holds=False)
        )
    return rows
