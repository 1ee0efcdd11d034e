"""A handful of what `make escape` tries, with their controls; and the document lists what there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from toolward.lab.escape.attempts import ATTEMPTS, BY_ID, Control
from toolward.lab.escape.columns import CAGES, CONTROLS, Told, run_all, run_command
from toolward.lab.escape.hosts import HOSTS, rows_of_hosts, run_hosts
from toolward.lab.escape.verdicts import DISCRIMINATING_MIN, Proof, Verdict, proof, rows_of, verdict
from toolward.model.capability import IsolationLevel

ROOT = Path(__file__).parents[2]
HANDFUL = ("fs02", "fs10", "fs13", "fs20", "fs21", "fs28", "env1", "ipc2", "ipc14", "net1", "net8", "net10")
MORE = ("k06", "k13", "k15", "r04", "r07", "r14", "r21", "x02")


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    return run_all((*CAGES, *CONTROLS), (*HANDFUL, *MORE))


@pytest.mark.e2e
@pytest.mark.parametrize("column", [each.name for each in CAGES])
def test_a_handful_of_attempts_is_contained_or_named_in_every_cage(
    told: dict[str, Told], column: str
) -> None:
    if column not in told:
        pytest.skip("needs root")
    cells = {name: verdict(BY_ID[name], column, told) for name in (*HANDFUL, *MORE)}
    good = {Verdict.CONTAINED} | ({Verdict.NAMED} if column.startswith("landlock") else set())
    assert {name: told[column].seen[name] for name, cell in cells.items() if cell not in good} == {}


@pytest.mark.e2e
def test_their_controls_succeed(told: dict[str, Told]) -> None:
    proofs = {name: proof(BY_ID[name], told) for name in (*HANDFUL, *MORE)}
    wanted = {name for name in proofs if BY_ID[name].control is not Control.NONE}
    if os.geteuid() != 0:
        wanted -= {name for name in wanted if BY_ID[name].control is Control.ROOT}
    assert {name for name, each in proofs.items() if each is Proof.YES} == wanted
    assert all(row.holds for row in rows_of(told, complete=False))


@pytest.mark.e2e
def test_poorer_hosts_reach_what_they_can_and_nothing_runs_bare() -> None:
    if os.geteuid() != 0:
        pytest.skip("simulating hosts needs root")
    found = run_hosts()
    assert [row for row in rows_of_hosts(found) if not row.holds] == []
    nothing = [found[each.host] for each in HOSTS if each.tier is IsolationLevel.NONE]
    assert [each.seen for each in nothing] == [{}]


def test_a_column_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        run_command(["/bin/sh", "-c", "echo no such thing >&2; exit 3"], ())


def test_there_are_enough_attempts_with_a_control_and_each_says_what_it_tries() -> None:
    assert len({each.id for each in ATTEMPTS}) == len(ATTEMPTS)
    assert sum(each.control is not Control.NONE for each in ATTEMPTS) > DISCRIMINATING_MIN
    assert [each.id for each in ATTEMPTS if not each.what or not each.source] == []
    assert all("toolward" not in each.text.replace("toolward-", "") for each in ATTEMPTS)  # it stands alone


def test_the_document_lists_exactly_the_attempts_that_there_are() -> None:
    text = (ROOT / "docs" / "escape.md").read_text()
    listed = re.findall(r"^\| ([a-z]+\d+) \| (.*?) \| ", text, re.MULTILINE)
    assert listed == [(each.id, each.what) for each in ATTEMPTS]
    assert "ESCAPED" not in text
