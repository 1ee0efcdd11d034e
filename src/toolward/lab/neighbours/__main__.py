"""`make bench-neighbours`: one hung, one flooding and one flapping server among ten, and the others' latency.

Rounds of three runs, one after the other, with the same calls to all ten at the same moments and a fresh
daemon each: in one the three behave, in one they do not, and in the third, the control, the three behave and
others like them, which are no servers of this ward, misbehave to a program that is not the gateway. The order
rotates. Every default of resilience is in force.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any, Final

import uvloop

from toolward.lab.bench.processes import LineProcess, cpu_s, machine_busy_s
from toolward.lab.neighbours.load import PAUSE_S, good_callers
from toolward.lab.neighbours.ward import BESIDE, GOOD, MANNERS, Prepared, daemon, http_servers, prepare
from toolward.lab.report import Row, write_report

RATE: Final = 80.0
"""Calls a second to the seven together: few enough that queues are not what is seen."""
SECONDS: Final = 10.0
CALLERS: Final = 2
"""Of each of the three, calling again a moment after they were answered."""
HEAD_S: Final = 3.0
"""So long the three are called before the measurement begins: their first processes start in that time."""
P50_MAX: Final = 1.1
P99_MAX: Final = 1.5
OTHERS_MAX: Final = 0.25
"""Cores that may be busy with what is not of the benchmark: a run on a busier machine says nothing."""
AGAIN_MAX: Final = 5
"""Runs of one transport that are made again for that; after so many each counts, however the machine was."""
STILL: Final = "undisturbed"
ILL: Final = "disturbed"
CONTROL: Final = "control"
"""The same disturbance beside the gateway."""
KINDS: Final = (STILL, ILL, CONTROL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    manners: Sequence[str] = MANNERS  # those of the three that misbehave
    heeds: bool = False  # whether callers of the three wait as long as a refusal says
    seconds: float = SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run."""

    figures: Mapping[str, Any]
    cpu: float  # of the daemon and its servers, in cores
    others: float  # of the machine, busy with what is not of the benchmark, in cores
    again: int  # how often it was made before, on a machine that was not quiet
    seen: Mapping[str, int]


@dataclass(slots=True)
class Rounds:
    """Runs of one transport of the three."""

    runs: dict[str, list[Run]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def ratio(self, figure: str, of: str, to: str) -> float:
        """The median over the rounds of one kind of run to another."""
        pairs = zip(self.runs[of], self.runs[to], strict=True)
        return float(median(one.figures[figure] / other.figures[figure] for one, other in pairs))

    def rows(self, transport: str) -> list[Row]:
        """What is reported of them."""
        out = []
        for figure, most in (("p50_ms", P50_MAX), ("p99_ms", P99_MAX)):
            name = f"{transport}: the others' {figure.removesuffix('_ms')}"
            for kind, runs in self.runs.items():
                out.append(Row(f"{name}, {kind}", median(run.figures[figure] for run in runs), "ms"))
            found = self.ratio(figure, ILL, STILL)
            out.append(Row(f"{name}, disturbed to undisturbed", found, "times", f"<= {most}", found <= most))
            out.append(Row(f"{name}, control to undisturbed", self.ratio(figure, CONTROL, STILL), "times"))
            out.append(Row(f"{name}, disturbed to control", self.ratio(figure, ILL, CONTROL), "times"))
            still = [run.figures[figure] for run in self.runs[STILL]]
            out.append(Row(f"{name}, highest undisturbed to lowest", max(still) / min(still), "times"))
        return out + self._about(transport)

    def _about(self, transport: str) -> list[Row]:
        every = [run for runs in self.runs.values() for run in runs]
        wrong = sum(run.figures["wrong"] for run in every)
        out = [Row(f"{transport}: the others' calls without their answer", wrong, "", "0", wrong == 0)]
        if first := next((run.figures["first_wrong"] for run in every if run.figures["wrong"]), ""):
            out.append(Row(f"{transport}: the first of those", first))
        for kind, runs in self.runs.items():
            cores = median(run.cpu for run in runs)
            out.append(Row(f"{transport}: CPU of the gateway and its servers, {kind}", cores, "cores"))
        busiest = max(run.others for run in every)
        out.append(Row(f"{transport}: CPU of everybody else, in the busiest run", busiest, "cores"))
        again = sum(run.again for run in every)
        out.append(Row(f"{transport}: runs made again, the machine was not quiet", again))
        for kind in (ILL, CONTROL):
            seen = sum((Counter(run.seen) for run in self.runs[kind]), Counter[str]())
            text = ", ".join(f"{code} {count}" for code, count in seen.most_common())
            out.append(Row(f"{transport}: what callers of the three were told, {kind}", text or "nothing"))
        return out


async def measured_once(ward: Prepared, kind: str, plan: Plan, *, ports: Mapping[str, int], seed: int) -> Run:
    """One run on a daemon of its own."""
    with daemon(ward) as (pid, port):
        callers = await good_callers([ward.address(port, name) for name in GOOD])
        others = LineProcess("toolward.lab.neighbours.load")
        try:
            ill = plan.manners if kind == ILL else ()
            calls = [(asdict(ward.address(port, name)), "ill" if name in ill else "well") for name in MANNERS]
            directly = [ports[name + BESIDE] for name in plan.manners] if kind == CONTROL else []
            others.tell(
                {
                    "calls": calls,
                    "callers": CALLERS,
                    "heeds": plan.heeds,
                    "pause_s": PAUSE_S,
                    "directly": directly,
                }
            )
            await asyncio.sleep(HEAD_S)
            before, busy, ours = cpu_s(pid), machine_busy_s(), cpu_s(os.getpid())
            figures = await callers.run(plan.seconds, RATE, seed=seed)
            spent, of_us = cpu_s(pid) - before, cpu_s(os.getpid()) - ours
            of_others = machine_busy_s() - busy - of_us
            others.tell({})
            seen = others.hear()
        finally:
            others.close()
            callers.close()
    cpu, elsewhere = spent / plan.seconds, max(of_others, 0.0) / plan.seconds
    return Run(figures=figures, cpu=cpu, others=elsewhere, again=0, seen=seen)


async def measured(transport: str, rounds: int, plan: Plan) -> Rounds:
    """Interleaved runs; the three are reached over `transport`."""
    out, left = Rounds(), AGAIN_MAX
    with http_servers(transport) as ports:
        ward = await prepare(ports, transport)
        for number in range(rounds):
            at = number % len(KINDS)
            for kind in (*KINDS[at:], *KINDS[:at]):
                run = await measured_once(ward, kind, plan, ports=ports, seed=number)
                again = 0
                while run.others > OTHERS_MAX and left:
                    left, again = left - 1, again + 1
                    run = await measured_once(ward, kind, plan, ports=ports, seed=number)
                out.runs[kind].append(replace(run, again=again))
    return out


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--transport", choices=("stdio", "http"), action="append")
    parser.add_argument("--only", choices=MANNERS, action="append", help="which of the three misbehave")
    parser.add_argument(
        "--heed", action="store_true", help="callers of the three wait as long as a refusal says"
    )
    chosen = parser.parse_args()
    plan = Plan(manners=chosen.only or MANNERS, heeds=chosen.heed)
    rows: list[Row] = []
    for transport in chosen.transport or ("stdio", "http"):
        rows += uvloop.run(measured(transport, chosen.pairs, plan)).rows(transport)
    _ = write_report("neighbours", rows)


if __name__ == "__main__":
    main()
