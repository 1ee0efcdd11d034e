"""Torture for every run of the tests: a few kills, failing disks, power cuts and hostile callers."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.lab.torture.__main__ import in_memory, in_process
from toolward.lab.torture.disks import rows_of_disks, torture_by_disks
from toolward.lab.torture.hostile import besiege, rows_of_siege
from toolward.lab.torture.kills import rows_of_kills, torture_by_kills

pytestmark = pytest.mark.e2e
SEED = 7


def quiet(_: str) -> None:
    """Nobody watches."""


async def test_five_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    killed = await torture_by_kills(tmp_path, kills=5, seed=SEED, say=quiet)
    assert [row for row in rows_of_kills(killed) if not row.holds] == []
    assert killed.kills == 5
    assert killed.calls > 0
    assert killed.settled_by_recovery > 0, "no kill met a call under way: nothing was tested"


async def test_a_few_failing_disks_refuse_and_recover() -> None:
    with in_memory() as place:
        sweep = await torture_by_disks(place, seed=SEED, few=True, say=quiet)
    assert [row for row in rows_of_disks(sweep) if not row.holds] == []
    assert sweep.struck == sweep.rounds


def test_a_few_power_cuts_lose_nothing() -> None:
    with in_memory() as place:
        sweep = in_process("power", str(place), str(SEED), "4")
    assert sweep.violations == []
    assert sweep.struck == 4


async def test_hostile_callers_stop_no_good_call(tmp_path: Path) -> None:
    siege = await besiege(tmp_path, calls=200, seed=SEED, say=quiet)
    growth = "  memory per 1 000 good calls"  # says nothing before it is warm
    assert [row for row in rows_of_siege(siege) if not row.holds and row.what != growth] == []
    assert siege.bombs.total() > 20
