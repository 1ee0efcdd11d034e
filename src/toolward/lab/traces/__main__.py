"""`python -m toolward.lab.traces` (make traces): false blocks on public benign traces.

BFCL's multi-turn tasks, from PyPI and pinned by hash, with the benchmark's own simulators behind the gate.
`--sessions N` plays the first N of 200, `--verbose` names what was asked about or denied.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from toolward.errors import WardError
from toolward.lab.agentdojo.suite import SuiteFailed
from toolward.lab.report import Row, write_report
from toolward.lab.toolchain import SetupFailed
from toolward.lab.traces.playing import How, Played, open_traces, play

GOAL_PERCENT = 2.0
"""Of benign calls that rules against leaks may stand against."""
PLAYED = (
    (How(ward="unlabelled"), "nothing is said of any tool"),
    (How(ward="labelled"), "effects are said"),
    (How(ward="labelled", first_turn=True), "effects are said, first message only"),
    (How(ward="unlabelled", secret=True), "nothing is said of any tool, after a confidential read"),
    (How(ward="labelled", secret=True), "effects are said, after a confidential read"),
)


def rows_of(what: str, played: Played, *, promised: bool) -> list[Row]:
    """One way of playing. No goal after a confidential read, nor where the host withholds words."""
    calls = f"of {played.calls} calls in {played.sessions} sessions"
    return [
        Row(
            f"{what}: rules against leaks ({played.asked_leaks} asked, {played.denied_leaks} denied)",
            round(played.leaks_share, 2),
            f"% {calls}",
            f"<= {GOAL_PERCENT:.0f} %" if promised else "",
            not promised or played.leaks_share <= GOAL_PERCENT,
        ),
        Row(
            f"{what}: others alone ({played.asked_else} asked, {played.denied_else} denied)",
            round(played.else_share, 2),
            f"% {calls}",
        ),
    ]


async def measure(sessions: int, *, verbose: bool) -> list[Row]:
    """Every way of playing. Raises `SetupFailed`, `SuiteFailed`, `WardError`."""
    rows: list[Row] = []
    with open_traces() as suite:
        for how, what in PLAYED:
            played = await play(suite, how, sessions=sessions)
            rows += rows_of(what, played, promised=not (how.secret or how.first_turn))
            if verbose:
                print(what, dict(played.by_rule))
                print("\n".join(f"  {each}" for each in played.examples))
    return rows


def main() -> int:
    """0 when the goals hold, 1 when one does not, 2 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m toolward.lab.traces", description=__doc__)
    parser.add_argument("--sessions", type=int, default=200, help="how many tasks, from the first")
    parser.add_argument("--verbose", action="store_true", help="name each call that a rule stood against")
    asked = parser.parse_args()
    try:
        rows = asyncio.run(measure(asked.sessions, verbose=asked.verbose))
    except (SetupFailed, SuiteFailed, WardError) as error:
        print(f"{error}", file=sys.stderr)
        return 2
    write_report("traces", rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
