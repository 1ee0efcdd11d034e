"""The canary scene on a real ward: it regresses, is rolled back by itself, and sessions keep what they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.lab.paths.canary import on_a_ward

pytestmark = pytest.mark.e2e


async def test_a_canary_that_regresses_is_rolled_back_by_itself_in_real_cages(tmp_path: Path) -> None:
    rows = {row.what: row for row in await on_a_ward(tmp_path)}
    assert [row.what for row in rows.values() if not row.holds] == []
    assert rows["a session in flight on the candidate finishes on"].figure == "next"
    assert float(rows["from the first bad call to the rollback"].figure) > 0
