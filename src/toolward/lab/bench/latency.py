"""Part 3: what a caller waits longer for, at a load that leaves room, beside one group commit."""

from __future__ import annotations

from toolward.lab.bench.calls import Effort, Load, Target
from toolward.lab.report import Row

PART_OF_CAPACITY = 0.3
COMMITS_GOAL = 2.5
_CONNECTIONS = 32


def measure(
    direct: Target, governed: Target, load: Load, effort: Effort, *, capacity: float, commit_ms: float
) -> list[Row]:
    """`capacity` is what the governed target did with 32 in flight, `commit_ms` one durable commit's wait."""
    rate = capacity * PART_OF_CAPACITY
    bare = load.run(direct, connections=_CONNECTIONS, seconds=effort.seconds, rate=rate)
    seen = load.run(governed, connections=_CONNECTIONS, seconds=effort.seconds * 2, rate=rate)
    added = seen.p50_ms - bare.p50_ms
    times = added / commit_ms if commit_ms else 0.0
    what = f"{governed.name}, open loop at {rate:.0f} calls/s"
    rows = [
        Row(f"{what}: p50", round(seen.p50_ms, 2), "ms"),
        Row(f"{what}: p99", round(seen.p99_ms, 2), "ms"),
        Row(f"{what}: added to direct, p50", round(added, 2), "ms"),
        Row("one group commit in this run, p50", round(commit_ms, 2), "ms"),
        Row(
            f"{what}: added p50 in group commits",
            round(times, 2),
            "x",
            f"<= {COMMITS_GOAL}",
            times <= COMMITS_GOAL,
        ),
    ]
    if seen.wrong:
        rows.append(
            Row(f"{what}: wrong replies", f"{seen.wrong}: {seen.first_wrong}", "", "none", holds=False)
        )
    return rows
