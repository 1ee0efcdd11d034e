"""The enumeration of interleavings, a short version of it, and the benchmark's parts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from toolward.kernel.clauses import NO_PROMISE, Promise
from toolward.kernel.safeguards.frontiers import Frontiers
from toolward.lab import bench_safeguards
from toolward.lab.interleavings import schedules, try_all


def test_every_schedule_is_there_once() -> None:
    assert len(list(schedules(1))) == len(set(schedules(1))) == 6 * 9 * 4
    assert len(list(schedules(2))) == len(set(schedules(2))) == 20 * 81 * 4


async def test_two_sessions_in_every_order_can_always_be_undone_or_are_refused() -> None:
    tried = await try_all(itertools.chain(schedules(1), itertools.islice(schedules(2), 0, None, 79)))
    assert tried.violations == []
    assert tried.schedules == 216 + 83
    assert set(tried.verdicts) == {"done", "held_in_escrow", "resource_conflict"}


async def test_without_frontiers_the_same_schedules_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it is the frontiers that hold, not the script."""

    async def nothing(*_: Any) -> Promise:
        return NO_PROMISE

    monkeypatch.setattr(Frontiers, "promise", nothing)
    monkeypatch.setattr(Frontiers, "_free", lambda *_: None)
    tried = await try_all(schedules(1))
    assert any("stuck" in text for text in tried.violations)
    assert any("remains" in text for text in tried.violations)
    assert any("irreversible" in text for text in tried.violations)


async def test_the_benchmark_measures_every_kind_and_refuses_none(tmp_path: Path) -> None:
    rows = await bench_safeguards.measure(tmp_path, calls=40, rounds=1)
    figures = {row.what: row.figure for row in rows}
    kinds = bench_safeguards.kinds()
    assert len(figures) == 2 * len(kinds) + 1
    assert all(float(figures[f"CPU per call: {kind.name}"]) > 0 for kind in kinds)


async def test_what_waits_costs_nothing_while_nothing_happens(tmp_path: Path) -> None:
    none, held, asked = await bench_safeguards.idle(tmp_path, pending=1_000, seconds=0.5)
    assert "1000 held calls" in held.what
    assert "1000 questions" in asked.what
    assert max(float(held.figure), float(asked.figure)) <= float(none.figure) + bench_safeguards.IDLE_GOAL_S
