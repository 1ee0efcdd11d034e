"""A secure core and an open periphery at work in one ward, on real servers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from toolward.lab.paths.work import on_a_ward

UV = Path(sys.executable).with_name("uv").exists() or shutil.which("uv") is not None
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not UV, reason="no uv here: `make setup` puts one into .venv/bin"),
]


async def test_what_was_found_is_explored_with_refused_where_it_matters_promoted_and_then_used(
    tmp_path: Path,
) -> None:
    rows = await on_a_ward(tmp_path)
    assert [row.what for row in rows if not row.holds] == []
    seen = {row.what: str(row.figure) for row in rows}
    assert seen["the found tool in the decision-critical step"] == "secure_path"
    assert seen["the promoted tool in the decision-critical step"] == "answered"
    assert seen["returns in the table of filings"] == "1"
