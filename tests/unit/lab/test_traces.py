"""What is counted when benign traces are played, and how the benchmark's definitions are read."""

from __future__ import annotations

from typing import Any

import pytest

from toolward.lab.agentdojo.suite import SuiteCall
from toolward.lab.traces.bfcl_worker import definition
from toolward.lab.traces.playing import Played, rules_of
from toolward.model.call import Reply, WireError

CALL = SuiteCall(tool="search", arguments={"query": "x"})
LEAK, INTENT = "guarded/unexplained-after-confidential", "guarded/irreversible"


def refused(code: str, **details: str) -> Reply:
    return Reply(
        call_id="c", error=WireError(code=-32000, message="no", data={"code": code, "details": details})
    )


def counts(*replies: Reply) -> tuple[int, int, int, int]:
    played = Played(calls=len(replies))
    for each in replies:
        played.count(CALL, each)
    return played.asked_leaks, played.denied_leaks, played.asked_else, played.denied_else


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (refused("approval_required", policies=LEAK), (1, 0, 0, 0)),
        (refused("approval_required", policies=f"{INTENT}, {LEAK}"), (1, 0, 0, 0)),
        (refused("denied", policy=LEAK), (0, 1, 0, 0)),
        (refused("approval_required", policies=INTENT), (0, 0, 1, 0)),
        (refused("bad_arguments"), (0, 0, 0, 1)),
    ],
)
def test_a_call_that_a_rule_against_leaks_stands_against_counts_as_that(
    reply: Reply, expected: tuple[int, int, int, int]
) -> None:
    assert counts(reply) == expected


def test_shares_are_of_all_calls() -> None:
    played = Played(calls=50, asked_leaks=1, denied_leaks=1, asked_else=5)
    assert (played.leaks_share, played.else_share) == (4.0, 10.0)


def test_a_refusal_without_a_rule_is_known_by_its_code() -> None:
    assert rules_of(refused("bad_arguments")) == {"bad_arguments"}


def test_the_benchmarks_own_names_of_types_become_those_of_json_schema() -> None:
    document: dict[str, Any] = {
        "name": "convert",
        "description": "Convert.",
        "parameters": {
            "type": "dict",
            "properties": {
                "value": {"type": "float"},
                "pair": {"type": "tuple", "items": {"type": "integer"}},
            },
            "required": ["value"],
        },
        "response": {"type": "dict"},
    }
    assert definition(document) == {
        "name": "convert",
        "description": "Convert.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "value": {"type": "number"},
                "pair": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["value"],
        },
    }
