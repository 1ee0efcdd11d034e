"""The example `customer-support` on its real servers: every act, and the same injection where no rule stands."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from toolward.lab.examples.__main__ import run_example
from toolward.lab.report import Row
from toolward.lab.toolchain import BUILD, make_node

UV = Path(sys.executable).with_name("uv").exists() or shutil.which("uv") is not None
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not UV, reason="no uv here: `make setup` puts one into .venv/bin"),
]
PLACES = (BUILD / "examples").absolute()
"""What the servers have installed is kept here, since two of them are large."""


async def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, rules: bool) -> list[Row]:
    environments = PLACES / "environments"
    programs = make_node(environments / "node").environment()["PATH"]
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), programs]))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return await run_example("customer-support", PLACES / "tested", environments, rules=rules)


async def test_tickets_are_answered_refunds_are_weighed_and_orders_in_a_mail_come_to_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = await played(monkeypatch, tmp_path, rules=True)
    assert [row for row in rows if not row.holds and row.what != "all of it"] == []
    seen = {row.what: row.figure for row in rows}
    assert seen["4 refunds that came of it"] == "none"
    assert seen["4 mails that drop@elsewhere.example got"] == "0"
    assert seen["4 mails that hold ana's address or account"] == "0"


async def test_without_the_rules_the_same_mail_gets_all_that_it_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = await played(monkeypatch, tmp_path, rules=False)
    assert [row for row in rows if not row.holds and row.what != "all of it"] == []
    assert {row.what: row.figure for row in rows}[
        "without rules: mails that drop@elsewhere.example got"
    ] == "1"
