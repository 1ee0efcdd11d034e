"""`make bench-overload`: ten times as many callers of one tool as keep the gateway busy; what is answered.

Pairs of runs, one after the other and a fresh daemon each: callers call again at once when they were
answered, and a moment later when they were refused. Every refusal is on record, every limit is the default.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from dataclasses import asdict, replace
from statistics import median
from typing import Final

import uvloop

from toolward.lab.bench.client import STATELESS
from toolward.lab.bench.processes import LineProcess
from toolward.lab.neighbours.ward import GOOD_HTTP, Prepared, daemon, http_servers, prepare
from toolward.lab.report import Row, write_report

CALLERS: Final = 32
"""Enough that the gateway is busy all the time."""
TIMES: Final = 10
HEAD_S: Final = 3.0
SECONDS: Final = 6.0
GOODPUT_MIN: Final = 0.8
"""Of what is answered without overload."""


async def seen_by(ward: Prepared, callers: int) -> Counter[str]:
    """What so many callers of one tool were told in `SECONDS`."""
    with daemon(ward) as (_, port):
        load = LineProcess("toolward.lab.neighbours.load")
        try:
            address = replace(ward.address(port, GOOD_HTTP[0]), era=STATELESS)
            calls = [(asdict(address), "busy")]
            load.tell({"calls": calls, "callers": callers, "heeds": False, "pause_s": 0, "directly": []})
            await asyncio.sleep(HEAD_S)
            load.tell("look")
            before = Counter[str](load.hear())
            await asyncio.sleep(SECONDS)
            load.tell("look")
            after = Counter[str](load.hear())
        finally:
            load.close()
    return after - before


async def measured(pairs: int) -> list[Row]:
    """Interleaved pairs, and what is reported of them."""
    seen: dict[int, list[Counter[str]]] = {CALLERS: [], TIMES * CALLERS: []}
    with http_servers("stdio") as ports:
        ward = await prepare(ports, "overload")
        for number in range(pairs):
            for callers in sorted(seen, reverse=bool(number % 2)):
                seen[callers].append(await seen_by(ward, callers))
    few, many = ([each["answered"] / SECONDS for each in seen[callers]] for callers in sorted(seen))
    share = median(many_one / few_one for few_one, many_one in zip(few, many, strict=True))
    rows = [
        Row(f"calls answered, {CALLERS} callers", median(few), "a second"),
        Row(f"calls answered, {TIMES * CALLERS} callers", median(many), "a second"),
        Row(
            "of what is answered without overload", share, "times", f">= {GOODPUT_MIN}", share >= GOODPUT_MIN
        ),
    ]
    told = sum(seen[TIMES * CALLERS], Counter[str]())
    rows += [
        Row(f"{TIMES * CALLERS} callers were told: {code}", count / SECONDS / pairs, "a second")
        for code, count in told.most_common()
        if code != "answered"
    ]
    return rows


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    _ = write_report("overload", uvloop.run(measured(parser.parse_args().pairs)))


if __name__ == "__main__":
    main()
