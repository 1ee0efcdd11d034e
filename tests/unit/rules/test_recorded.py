"""What recorded data becomes, and how a probe's answer is read."""

from __future__ import annotations

from typing import Any

import pytest

from toolward.errors import WardError
from toolward.rules.recorded import arguments_from, happened


def test_arguments_come_from_recorded_data_and_literals_alone() -> None:
    recorded = {"input": {"path": "/data/a", "list": [1, 2]}, "key": "k"}
    declared = {"p": "/input/path", "second": "/input/list/1", "k": "/key", "n": {"value": "/input/path"}}
    assert arguments_from(declared, recorded) == {"p": "/data/a", "second": 2, "k": "k", "n": "/input/path"}


@pytest.mark.parametrize("said", ["/input/none", "input", "/input/path/0", 7, {"value": 1, "more": 2}])
def test_what_leads_nowhere_is_never_guessed(said: Any) -> None:
    with pytest.raises(WardError):
        arguments_from({"x": said}, {"input": {"path": "a"}})


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (text("true"), True),
        (text("No"), False),
        (text('[{"count(*)": 1}]'), True),
        (text('[{"count(*)": 0}]'), False),
        (text("[]"), False),
        (text('[{"id": 1, "name": "x"}]'), True),
        ({"structuredContent": {"result": False}, "content": []}, False),
        ({"structuredContent": {"happened": True}, "content": []}, True),
        (text("no such file"), None),
        ({**text("true"), "isError": True}, None),
        ({"content": []}, None),
        ({"content": [{"type": "text", "text": "true"}, {"type": "text", "text": "false"}]}, None),
    ],
)
def test_a_probe_says_yes_or_no_or_nothing(result: dict[str, Any], verdict: bool | None) -> None:
    assert happened(result) is verdict
