"""The benchmark's own arithmetic: what it charges, and what it says of it."""

from __future__ import annotations

import asyncio
import os
from threading import Thread

import pytest

from toolward.lab.bench import metered
from toolward.lab.bench.calls import DEFAULT, FLOOR, OURS, SHARED, Round, ratios, rows_of
from toolward.lab.bench.meter import LOOP, Meter
from toolward.lab.bench.processes import cpu_s
from toolward.lab.quiet import QUIET_US, Slowness


def spin(turns: int) -> int:
    return sum(i * i for i in range(turns))


def seen(cpu_ms: float, rps: float = 3_000.0) -> Round:
    return Round(rps=rps, p50_ms=1, p99_ms=2, cpu_ms=cpu_ms, wrong=0, first_wrong="")


def test_an_inner_owner_is_not_charged_to_the_outer_one() -> None:
    meter = Meter()
    inner = meter.wrap("inner", lambda: spin(200_000))
    outer = meter.wrap("outer", inner)
    outer()
    meter.switch("")
    assert meter.spent_ns["inner"] > 10 * meter.spent_ns["outer"]
    assert dict(meter.entered) == {"inner": 1, "outer": 1}


def test_what_another_thread_does_is_charged_to_nobody_here() -> None:
    meter = Meter()
    place = meter.wrap("place", lambda: spin(200_000))
    beside = Thread(target=place)
    beside.start()
    beside.join()
    meter.switch("")
    assert (meter.spent_ns["place"], meter.entered["place"]) == (0, 0)
    place()
    assert meter.entered["place"] == 1


async def test_what_a_coroutine_waits_for_is_nobodys() -> None:
    meter = Meter()
    goes = asyncio.Event()

    async def waiting() -> str:
        await goes.wait()
        return "done"

    wrapped = meter.wrap("stage", waiting)
    task = asyncio.ensure_future(wrapped())
    await asyncio.sleep(0)
    spin(300_000)
    goes.set()
    assert await task == "done"
    meter.switch("")
    assert meter.spent_ns[LOOP] > 10 * meter.spent_ns["stage"]


async def test_a_metered_coroutine_is_cancelled_and_raises_as_before() -> None:
    meter = Meter()
    cleaned: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cleaned.append("yes")
            raise

    task = asyncio.ensure_future(meter.wrap("stage", stuck)())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task])
    assert done == {task}
    assert task.cancelled()
    assert cleaned == ["yes"]


def test_ratios_are_of_cpu_and_hold_at_their_goals() -> None:
    found = {(OURS, 32): seen(0.4), (SHARED, 32): seen(3.2), (DEFAULT, 32): seen(8.0)}
    by_peer = {row.what: row for row in ratios(found)}
    shared = next(row for what, row in by_peer.items() if SHARED in what)
    default = next(row for what, row in by_peer.items() if DEFAULT in what)
    assert (shared.figure, shared.holds) == (8.0, True)
    assert (default.figure, default.holds) == (20.0, False)


def test_budgets_are_judged_with_32_in_flight_by_how_fast_the_floor_is_in_the_same_run() -> None:
    slow = {(OURS, 1): seen(9.0, 10), (OURS, 32): seen(0.7, 1_500), (FLOOR, 32): seen(0.54, 1_500)}
    judged = {row.what: row for row in rows_of(slow) if row.goal}
    assert [row.figure for row in judged.values()] == [0.35, 3_000]
    assert all(row.what.startswith(f"{OURS}, 32 in flight") and row.holds for row in judged.values())
    dear = rows_of({**slow, (OURS, 32): seen(0.81, 900)})
    assert [row.holds for row in dear if row.goal] == [False, False]


def test_without_a_floor_nothing_is_said_to_hold() -> None:
    rows = rows_of({(OURS, 32): seen(0.1, 9_000)})
    assert [row.holds for row in rows if row.goal] == [False]


def test_cpu_is_that_of_the_process() -> None:
    before = cpu_s(os.getpid())
    for _ in range(200):
        spin(10_000)
        if cpu_s(os.getpid()) > before:
            return
    raise AssertionError("no CPU time was seen")


def test_every_place_that_the_split_measures_is_there() -> None:
    missing = [
        (owner, name) for owner, holder, name in metered.PLACES if not callable(getattr(holder, name, None))
    ]
    assert not missing


def test_a_budget_is_judged_by_what_the_quiet_machine_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slowness()
    assert slow.times > 0
    monkeypatch.setattr(slow, "_best", 2 * QUIET_US)
    raw, judged = slow.judged("a step", 300.0, 150.0)
    assert (raw.figure, raw.goal, judged.figure, judged.holds) == (300.0, "", 150.0, True)
    assert not slow.judged("a step", 301.0, 150.0)[1].holds
