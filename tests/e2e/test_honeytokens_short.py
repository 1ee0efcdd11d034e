"""Planted values over a real daemon: stolen by a process of its own, denied, told in time."""

from __future__ import annotations

import pytest

from toolward.lab.honeytokens.__main__ import on_a_ward

pytestmark = pytest.mark.e2e


def test_every_planted_value_that_is_sent_away_is_told_within_a_second_and_look_alikes_are_not() -> None:
    rows = on_a_ward(each=1)
    assert [row.what for row in rows if not row.holds] == []
    seen = {row.what: row.figure for row in rows}
    assert seen["of these denied with the code `honeytoken`"] == 100
