"""`python -m toolward.lab.bench` (make bench): every part, one table each, three reports.

With `--quick`, for development: a governed write beside the floor and `fastmcp`, in a minute or two.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Final

from rich.console import Console

from toolward.lab import bench_audit, bench_policy
from toolward.lab.bench import calls, latency, split, start
from toolward.lab.bench.calls import Effort, Target
from toolward.lab.bench.gateway import READ, WRITE, daemon, echo_server, floor, prepare
from toolward.lab.bench.processes import HOME
from toolward.lab.report import Row, print_rows, write_report
from toolward.lab.toolchain import SetupFailed

_FULL: Final = Effort(rounds=3, seconds=3.0)
_WIDTH: Final = 32
_QUICK: Final = Effort(
    rounds=20,
    seconds=0.7,
    targets=frozenset({calls.OURS, calls.FLOOR, calls.SHARED}),
    in_flight=(_WIDTH,),
)
"""Many short rounds: others work on the machine too, and each meets all three targets for a while."""


def measure_quick(say: Console) -> list[Row]:
    """What a change to the hot path is judged by first. Raises `SetupFailed`."""
    with echo_server() as (pid, address), calls.loading() as load:
        direct = Target(name=calls.DIRECT, pid=pid, address=address)
        found, missing = calls.measure(direct, asyncio.run(prepare(address.url)), load, _QUICK, say)
    calls.show(say, found)
    return missing + calls.rows_of(found) + _machine("after")


def measure(say: Console) -> list[Row]:
    """Every part that needs the gateway, a table for each. Raises `SetupFailed`."""
    rows = _shown("the machine", _machine("before"))
    write_report("bench_audit", bench_audit.measure(HOME))
    with echo_server() as (pid, address), calls.loading() as load:
        direct = Target(name=calls.DIRECT, pid=pid, address=address)
        ward = asyncio.run(prepare(address.url))
        found, missing = calls.measure(direct, ward, load, _FULL, say)
        rows += missing + calls.rows_of(found)
        calls.show(say, found)
        _shown("budgets of a governed call", [row for row in rows if row.goal] + missing)
        with say.status("CPU by stage"):
            split_rows = split.measure(asyncio.run(prepare(address.url)), load, _FULL)
        rows += _shown("where the CPU goes", split_rows)
        # fresh again: a daemon reads a long log through beside its first calls
        ward = asyncio.run(prepare(address.url))
        with (
            daemon(ward) as (governed, port),
            floor(address.url) as (floor_pid, floor_address),
            say.status("open loop"),
        ):
            least = Target(name=calls.FLOOR, pid=floor_pid, address=floor_address)
            for name, tool in ((calls.OURS, WRITE), (calls.OURS_READ, READ)):
                target = Target(name=name, pid=governed, address=ward.address(port, tool))
                capacity = found[name, _WIDTH].rps
                added = latency.measure(direct, least, target, load, _FULL, capacity=capacity)
                rows += _shown("added latency", added)
        with say.status("starts"):
            started = start.measure_start(ward, 5)
    with say.status("a fresh installation"):
        started += start.measure_install()
    return rows + _shown("start and size", started) + _shown("the machine", _machine("after"))


def _shown(title: str, rows: list[Row]) -> list[Row]:
    print_rows(title, rows)
    return rows


def _machine(when: str) -> list[Row]:
    """What else the machine did: CPU per call grows on a busy box, and rates shrink."""
    return [Row(f"load average {when}, {os.cpu_count()} processors", round(os.getloadavg()[0], 2))]


def main() -> None:
    """Measure, print, write the reports; exit code 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a governed write, the floor and fastmcp only")
    quick = parser.parse_args().quick
    say = Console()
    try:
        rows = measure_quick(say) if quick else measure(say)
    except SetupFailed as error:
        say.print(f"[red]it could not be measured:[/] {error}", highlight=False)
        sys.exit(2)
    write_report("bench_quick" if quick else "bench", rows, printed=quick)
    if not quick:
        write_report("bench_policy", bench_policy.measure_all(bench_policy.SIZES))
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
