"""A handful of what `make escape` tries, with their controls; and the document lists what there is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from toolward.lab.escape.attempts import ATTEMPTS, BY_ID, Control
from toolward.lab.escape.columns import (
    BWRAP,
    CAGES,
    CONTROLS,
    WASM,
    WASM_CONTROL,
    Told,
    run_all,
    run_command,
)
from toolward.lab.escape.hosts import HOSTS, rows_of_hosts, run_hosts
from toolward.lab.escape.verdicts import (
    DISCRIMINATING_MIN,
    Proof,
    Verdict,
    cross_check,
    proof,
    rows_of,
    verdict,
)
from toolward.lab.escape.wasm_attempts import MODULE_ATTEMPTS
from toolward.model.capability import IsolationLevel

ROOT = Path(__file__).parents[2]
HANDFUL = ("fs02", "fs10", "fs13", "fs20", "fs21", "fs28", "env1", "ipc2", "ipc14", "net1", "net8", "net10")
MORE = ("k06", "k13", "k15", "r04", "r07", "r14", "r21", "x02")


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    return run_all((*CAGES, *CONTROLS, BWRAP), (*HANDFUL, *MORE))


@pytest.fixture(scope="module")
def modules() -> dict[str, Told]:
    pytest.importorskip("wasmtime", reason="needs `pip install 'toolward[wasm]'`")
    return run_all((WASM, WASM_CONTROL), ())


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
def test_somebody_elses_cage_holds_what_it_can_hold(told: dict[str, Told]) -> None:
    words = {name: cross_check(BY_ID[name], told) for name in (*HANDFUL, *MORE)}
    if BWRAP.name not in told:
        assert set(words.values()) == {"not installed"}
        pytest.skip("bubblewrap is not installed")
    # What it can not hold: code that was written, and the memory of many processes or of sockets.
    assert {name for name, word in words.items() if word == "no"} == {"fs28", "r04", "r21"}
    assert {name for name, word in words.items() if word == "not run"} == {"net8", "net10", "r14", "x02"}


@pytest.mark.e2e
def test_what_a_module_tries_is_contained_or_named_and_works_in_a_bare_runtime(
    modules: dict[str, Told],
) -> None:
    cells = {each.id: verdict(each, WASM.name, modules) for each in MODULE_ATTEMPTS}
    assert {name: cell for name, cell in cells.items() if cell is not Verdict.CONTAINED} == {
        "w07": Verdict.NAMED
    }
    with_control = [each for each in MODULE_ATTEMPTS if each.control is not Control.NONE]
    proofs = {each.id: proof(each, modules) for each in with_control}
    assert {name: each for name, each in proofs.items() if each is not Proof.YES} == {}


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
    assert listed == [(each.id, each.what) for each in (*ATTEMPTS, *MODULE_ATTEMPTS)]
    assert "ESCAPED" not in text
