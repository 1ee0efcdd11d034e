"""docs/lifecycle.md is what the table says."""

from __future__ import annotations

from pathlib import Path

from toolward.lab.lifecycle_page import PAGE, generated, table

ROOT = Path(__file__).parents[3]


def test_the_page_of_the_lifecycle_is_written_from_the_table() -> None:
    text = (ROOT / PAGE).read_text()
    assert generated(text) == text, "write it anew: python -m toolward.lab.lifecycle_page"
    assert table() in text


def test_a_page_that_is_out_of_date_is_noticed() -> None:
    text = (ROOT / PAGE).read_text().replace("`quarantined`", "`approved`", 1)
    assert generated(text) != text
