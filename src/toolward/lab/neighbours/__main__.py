"""`make bench-neighbours`: one hung, one flooding and one flapping server among ten, and the others' latency.

Pairs of runs, one after the other: in one the three behave, in the other they do not, with the same calls to
all ten and a fresh daemon each. The order within a pair alternates. Every default of resilience is in force.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

import uvloop

from toolward.lab.bench.processes import LineProcess, cpu_s
from toolward.lab.neighbours.load import good_callers
from toolward.lab.neighbours.ward import GOOD, MANNERS, Prepared, daemon, http_servers, prepare
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


@dataclass(slots=True)
class Half:
    """One run."""

    figures: Mapping[str, Any]
    cpu: float  # of the daemon and its servers, in cores
    seen: Mapping[str, int]


@dataclass(slots=True)
class Pairs:
    """Runs of one transport of the three."""

    quiet: list[Half] = field(default_factory=list)
    disturbed: list[Half] = field(default_factory=list)

    def ratio(self, figure: str) -> float:
        """The median over the pairs of disturbed to undisturbed."""
        pairs = zip(self.quiet, self.disturbed, strict=True)
        return float(median(loud.figures[figure] / still.figures[figure] for still, loud in pairs))

    def rows(self, transport: str) -> list[Row]:
        """What is reported of them."""
        out = []
        for figure, most in (("p50_ms", P50_MAX), ("p99_ms", P99_MAX)):
            name, found = figure.removesuffix("_ms"), self.ratio(figure)
            for what, halves in (("undisturbed", self.quiet), ("disturbed", self.disturbed)):
                value = median(half.figures[figure] for half in halves)
                out.append(Row(f"{transport}: the others' {name}, {what}", value, "ms"))
            what = f"{transport}: the others' {name}, disturbed to undisturbed"
            out.append(Row(what, found, "times", f"<= {most}", found <= most))
        wrong = sum(half.figures["wrong"] for half in (*self.quiet, *self.disturbed))
        out.append(Row(f"{transport}: the others' calls without their answer", wrong, "", "0", wrong == 0))
        for what, halves in (("undisturbed", self.quiet), ("disturbed", self.disturbed)):
            cores = median(half.cpu for half in halves)
            out.append(Row(f"{transport}: CPU of the gateway and its servers, {what}", cores, "cores"))
        seen = sum((Counter(half.seen) for half in self.disturbed), Counter[str]())
        text = ", ".join(f"{code} {count}" for code, count in seen.most_common())
        out.append(Row(f"{transport}: what callers of the three were told", text or "nothing"))
        return out


async def half(ward: Prepared, *, ill: bool, seconds: float = SECONDS) -> Half:
    """One run on a daemon of its own."""
    with daemon(ward) as (pid, port):
        callers = await good_callers([ward.address(port, name) for name in GOOD])
        others = LineProcess("toolward.lab.neighbours.load")
        try:
            addresses = [asdict(ward.address(port, name)) for name in MANNERS]
            others.tell({"addresses": addresses, "callers": CALLERS, "text": "ill" if ill else "well"})
            await asyncio.sleep(HEAD_S)
            before = cpu_s(pid)
            figures = await callers.run(seconds, RATE)
            spent = cpu_s(pid) - before
            others.tell({})
            seen = others.hear()
        finally:
            others.close()
            callers.close()
    return Half(figures, spent / seconds, seen)


async def measured(transport: str, pairs: int) -> Pairs:
    """Interleaved pairs; the three are reached over `transport`."""
    out = Pairs()
    with http_servers(transport) as ports:
        ward = await prepare(ports, transport)
        for number in range(pairs):
            for ill in (False, True) if number % 2 else (True, False):
                (out.disturbed if ill else out.quiet).append(await half(ward, ill=ill))
    return out


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--transport", choices=("stdio", "http"), action="append")
    chosen = parser.parse_args()
    rows: list[Row] = []
    for transport in chosen.transport or ("stdio", "http"):
        rows += uvloop.run(measured(transport, chosen.pairs)).rows(transport)
    _ = write_report("neighbours", rows)


if __name__ == "__main__":
    main()
