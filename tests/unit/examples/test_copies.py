"""Examples are found, tell in a line what they show, and are copied with their reader's own paths in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_world import Terminal
from toolward import examples
from toolward.config.ward import load_ward
from toolward.errors import Rejected

ROOT = Path(__file__).parents[3]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return examples.copy("customer-support", tmp_path / "desk", mail_port=4711)


def test_the_checkout_shows_the_same_examples_that_are_installed() -> None:
    shown = sorted(each.name for each in (ROOT / "examples").iterdir() if each.joinpath("README.md").exists())
    assert shown == examples.names() == ["customer-support"]


def test_a_copy_has_its_own_paths_and_nothing_left_to_fill_in(copied: Path) -> None:
    texts = {path: path.read_text() for path in copied.rglob("*") if path.is_file()}
    left = (examples.HERE, examples.MAIL_PORT)
    assert [path for path, text in texts.items() if any(each in text for each in left)] == []
    config = texts[copied / "ward" / "toolward.yaml"]
    assert str(copied / "data" / "shop" / "shop.db") in config
    assert "http://127.0.0.1:4711/mcp" in config


def test_the_ward_of_a_copy_is_read_without_a_finding(copied: Path) -> None:
    ward = load_ward(copied / "ward")
    assert sorted(ward.config.servers) == ["customers", "kb", "mail", "orders", "refunds"]
    assert list(ward.objectives) == ["support"]


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(Rejected, match="not empty"):
        examples.copy("customer-support", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_an_unknown_example_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        examples.copy("../catalogue", tmp_path / "there")
    assert "customer-support" in refused.value.reason.remedy


def test_the_command_line_lists_copies_and_knows_what_is_none(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    [row] = terminal.ok("examples", "list", "--json").json
    assert row["name"] == "customer-support"
    assert "refunds" in row["shows"]
    assert "customer-support" in terminal.ok("examples", "list").out
    made = terminal.ok("examples", "copy", "customer-support", str(tmp_path / "desk"), "--json").json
    assert Path(made["ward"], "toolward.yaml").is_file()
    assert "README" in terminal.ok("examples", "copy", "customer-support", str(tmp_path / "second")).err
    assert terminal.run("examples", "run", "none").code == 1
