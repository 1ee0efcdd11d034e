"""A contract that was written is the one that is read, whatever a tool answered."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.config.contracting import CONTRACTS_EACH_MAX, ContractFile, add_contract, to_contracts
from toolward.config.convert import to_struct
from toolward.config.yamltext import read_yaml
from toolward.errors import WardError
from toolward.model.contract import Contract, Expectation, Must

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=8,
)  # fmt: skip


def a_contract(name: str, value: Any) -> Contract:
    expect = (Expectation(at="/structuredContent", must=Must.EQUAL, value=value),)
    return Contract(tool="files/read", name=name, arguments={"path": value}, expect=expect)


def read(ward: Path) -> tuple[Contract, ...]:
    root, found = read_yaml((ward / "contracts/files.yaml").read_bytes(), file="contracts/files.yaml")
    file, more = to_struct(root, ContractFile, file="contracts/files.yaml")
    assert file is not None, (found, more)
    return to_contracts(file)


@given(values)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        contract = a_contract("one", value)
        add_contract(Path(folder), contract)
        assert read(Path(folder)) == (contract,)


def test_a_contract_takes_the_place_of_one_of_the_same_name_and_leaves_the_others(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2), ("one", 3)):
        add_contract(tmp_path, a_contract(name, value))
    assert {each.name: each.arguments["path"] for each in read(tmp_path)} == {"one": 3, "two": 2}


def test_a_tool_has_no_more_contracts_than_can_be_tried_again_and_again(tmp_path: Path) -> None:
    for number in range(CONTRACTS_EACH_MAX):
        add_contract(tmp_path, a_contract(f"c{number}", number))
    with pytest.raises(WardError, match="has 20 contracts"):
        add_contract(tmp_path, a_contract("one-more", 0))
    assert len(read(tmp_path)) == CONTRACTS_EACH_MAX
