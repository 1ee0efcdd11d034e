"""The golden corpus: policies, a call, and the decision that it must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_samples import labelled, principal, tool
from toolward.model.decision import Allow
from toolward.model.tool import Effect
from toolward.rules.policy import PolicyBook

CASES = yaml.safe_load(Path(__file__).with_name("policy_corpus.yaml").read_text("utf-8"))
TEXT = {"type": "string"}
TOOLS = {
    t.key: t
    for t in (
        tool("read", {"path": TEXT}, required=("path",)),
        tool(
            "write",
            {
                "path": TEXT,
                "size": {"type": "integer"},
                "tags": {"type": "array", "items": TEXT},
                "dry-run": {"type": "boolean"},
                "options": {"type": "object", "properties": {"force": {"type": "boolean"}}},
            },
            effect=Effect.IDEMPOTENT_WRITE,
        ),
        tool(
            "buy-it.now",
            {"amount": {"type": "number"}, "item": TEXT},
            server="shop",
            effect=Effect.IRREVERSIBLE,
            egress=True,
            required=("amount", "item"),
        ),
    )
}


@pytest.mark.parametrize("case", CASES, ids=[c["case"] for c in CASES])
def test_the_corpus_is_decided_as_it_says(case: dict[str, Any]) -> None:
    asked, expect = case["call"], case["expect"]
    book = PolicyBook.compile(tools=tuple(TOOLS.values()), policies={"p.cedar": case["policies"]})
    who = principal(agent=asked.get("agent", "coder"), roles=tuple(asked.get("roles", ())))
    call = labelled(TOOLS[asked["tool"]], asked["arguments"], who=who, **asked.get("facts", {}))
    decision = book.decide(call)
    assert type(decision).__name__ == expect["decision"]
    assert list(decision.policies) == expect["policies"]
    if isinstance(decision, Allow):
        return
    assert decision.reason.code.value == expect["code"]
    for part in ("text", "remedy"):
        if part in expect:
            assert getattr(decision.reason, part) == expect[part]


def test_the_names_of_the_cases_are_unique() -> None:
    assert len({c["case"] for c in CASES}) == len(CASES)
