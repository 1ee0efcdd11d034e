"""Results are held to the tool's own output schema; declared repairs are deterministic, and show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders import a_version

from toolward.model.call import Failed, Returned, Stopped
from toolward.model.tool import OutputRule, Repair, ToolVersion
from toolward.rules.output import REPAIRED_META, held_to_schema

SCHEMA = {
    "type": "object",
    "properties": {
        "degrees": {"type": "number"},
        "hours": {"type": "array", "items": {"type": "object", "properties": {"at": {"type": "integer"}}}},
    },
    "required": ["degrees"],
    "additionalProperties": False,
}


def version(*repair: Repair, schema: Any = SCHEMA, held: bool = True) -> ToolVersion:
    made = a_version(definition={"name": "echo", "inputSchema": {"type": "object"}, "outputSchema": schema})
    return replace(made, manifest=replace(made.manifest, output=OutputRule(repair=repair) if held else None))


def returned(content: Any = None, **more: Any) -> Returned:
    result = (
        {"content": [], **more} if content is None else {"content": [], "structuredContent": content, **more}
    )
    return Returned(result=result, size_bytes=1)


def structured(outcome: object) -> Any:
    assert isinstance(outcome, Returned), outcome
    return outcome.result["structuredContent"]


def test_what_fits_passes_untouched() -> None:
    fits = returned({"degrees": 3})
    assert held_to_schema(version(*Repair), fits) is fits


@pytest.mark.parametrize("content", [{"degrees": "cold"}, {"degrees": 3, "more": 1}, {}, [], None, "text"])
def test_what_does_not_fit_is_not_released_and_no_word_of_it_is_said(content: Any) -> None:
    outcome = held_to_schema(version(), returned(content))
    assert isinstance(outcome, Stopped)
    assert outcome.reason == "bad_output"
    assert "cold" not in outcome.message
    control = returned(content)
    assert held_to_schema(version(held=False), control) is control


@pytest.mark.parametrize(
    "outcome",
    [
        returned({"degrees": "cold"}, isError=True),
        Failed(code=1, message="no", reason="tool_failed"),
        Stopped(reason="killed", message="no"),
    ],
)
def test_a_tools_own_error_is_no_output(outcome: Any) -> None:
    assert held_to_schema(version(), outcome) is outcome


def test_a_tool_without_output_schema_is_held_to_nothing() -> None:
    made = a_version()
    made = replace(made, manifest=replace(made.manifest, output=OutputRule()))
    outcome = returned({"anything": 1})
    assert held_to_schema(made, outcome) is outcome
    assert held_to_schema(None, outcome) is outcome


@pytest.mark.parametrize("schema", [{"type": 5}, {"$ref": "https://example.org/schema.json"}])
def test_a_schema_that_can_not_be_used_releases_nothing(schema: Any) -> None:
    outcome = held_to_schema(version(schema=schema), returned({"degrees": 3}))
    assert isinstance(outcome, Stopped)


@pytest.mark.parametrize(
    ("repair", "content", "mended"),
    [
        (Repair.COERCE_NUMBERS, {"degrees": " 3.5 "}, {"degrees": 3.5}),
        (
            Repair.COERCE_NUMBERS,
            {"degrees": "-1", "hours": [{"at": "6"}, {"at": 7}]},
            {"degrees": -1, "hours": [{"at": 6}, {"at": 7}]},
        ),
        (Repair.DROP_UNKNOWN, {"degrees": 3, "ad": "buy", "more": {}}, {"degrees": 3}),
    ],
)
def test_a_declared_repair_mends_what_it_is_for_and_says_so(
    repair: Repair, content: Any, mended: Any
) -> None:
    before = returned(content)
    outcome = held_to_schema(version(repair), before)
    assert structured(outcome) == mended
    assert isinstance(outcome, Returned)
    assert outcome.result["_meta"][REPAIRED_META] == [repair.value]
    assert outcome.repaired == (repair.value,)
    assert before.result["structuredContent"] == content  # what was sent is still what was sent
    others = [each for each in Repair if each is not repair]
    assert isinstance(held_to_schema(version(*others), returned(content)), Stopped)


@pytest.mark.parametrize(
    ("text", "schema", "mended"),
    [
        ('{"degrees": 3}', SCHEMA, {"degrees": 3}),
        (
            "mild",
            {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]},
            {"said": "mild"},
        ),
    ],
)
def test_text_alone_becomes_the_object_that_was_meant(text: str, schema: Any, mended: Any) -> None:
    outcome = returned()
    outcome = Returned(result={"content": [{"type": "text", "text": text}]}, size_bytes=1)
    assert structured(held_to_schema(version(Repair.WRAP_TEXT, schema=schema), outcome)) == mended


def test_repairs_go_on_from_each_other_in_their_order() -> None:
    outcome = held_to_schema(version(*Repair), returned({"degrees": "3", "ad": "buy"}))
    assert structured(outcome) == {"degrees": 3}
    assert isinstance(outcome, Returned)
    assert outcome.repaired == ("coerce_numbers", "drop_unknown")


@pytest.mark.parametrize("text", ["three", "0x10", "NaN", "1e999", "true", "3.5"])
def test_what_is_no_whole_number_is_not_made_one(text: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    outcome = held_to_schema(version(Repair.COERCE_NUMBERS, schema=schema), returned({"n": text}))
    assert isinstance(outcome, Stopped)
