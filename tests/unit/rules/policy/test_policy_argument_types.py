"""From JSON Schema to Cedar types: what is typed, what is left out, and that nothing hostile raises."""

from __future__ import annotations

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolward.rules.policy.argument_types import NODES_MAX, RESERVED_KEYS, merge_plans, plan_arguments
from toolward.rules.policy.cedar_schema import type_text


def types(properties: object, **more: object) -> str:
    plan = plan_arguments({"type": "object", "properties": properties, **more})
    return type_text(plan.record)


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "string"}, "String"),
        ({"type": "integer"}, "Long"),
        ({"type": "boolean"}, "Bool"),
        ({"type": "number"}, "decimal"),
        ({"type": ["integer", "number"]}, "decimal"),
        ({"enum": ["a", "b"]}, "String"),
        ({"const": 3}, "Long"),
        ({"type": "array", "items": {"type": "integer"}}, "Set<Long>"),
        ({"type": "array", "items": {"enum": ["x"]}}, "Set<String>"),
        ({"type": ["string", "null"]}, "String"),
        ({"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]}, "String"),
        ({"anyOf": [{"type": "string", "format": "uri"}, {"type": "string"}]}, "String"),
        ({"$ref": "#/$defs/Name"}, "String"),
        ({"$ref": "#/%24defs/Name", "description": "escaped"}, "String"),
        ({"allOf": [{"$ref": "#/$defs/Name"}, {"maxLength": 3}]}, "String"),
        ({"properties": {"y": {"type": "boolean"}}, "required": ["y"]}, '{ "y": Bool }'),
        ({"type": "string", "pattern": "(a+)+$", "if": {"const": "x"}, "then": False}, "String"),
    ],
)
def test_a_plain_schema_becomes_its_cedar_type(schema: object, written: str) -> None:
    assert types({"x": schema}, **{"$defs": {"Name": {"type": "string"}}}) == f'{{ "x"?: {written} }}'


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        {"description": "anything"},
        {"type": ["string", "integer"]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"oneOf": [{"type": "string"}, {}]},
        {"enum": ["a", 1]},
        {"type": "array"},
        {"type": "array", "items": {"type": "object"}},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "array", "items": {"type": ["string", "null"]}},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#anchor"},
        {"$ref": 7},
        {"$dynamicRef": "#node"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "null"},
        {"type": 3, "properties": []},
        [],
        None,
    ],
)
def test_what_has_no_honest_type_is_left_out_and_the_reason_is_kept(schema: object) -> None:
    plan = plan_arguments({"type": "object", "properties": {"x": schema, "ok": {"type": "string"}}})
    assert [m.name for m in plan.record.members] in (["ok"], ["x", "ok"])
    if isinstance(schema, dict) and schema.get("properties") == []:
        return
    assert [m.name for m in plan.record.members] == ["ok"]
    assert [p for p, why in plan.left_out if why] == ["/x"]


def test_recursion_ends_and_leaves_the_recursive_member_out() -> None:
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/Node"}, "me": {"$ref": "#"}},
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
            }
        },
    }
    plan = plan_arguments(schema)
    assert '"node"?: { "name"?: String }' in type_text(plan.record)
    assert ("/node/next", "the schema is recursive") in plan.left_out


def test_records_nest_only_so_deep() -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(10):
        schema = {"type": "object", "properties": {"d": schema}}
    text = type_text(plan_arguments(schema).record)
    assert 0 < text.count('"d"') <= 6


def test_a_bomb_of_references_is_bounded() -> None:
    defs = {
        f"d{i}": {
            "type": "object",
            "properties": {f"p{j}": {"$ref": f"#/$defs/d{i + 1}"} for j in range(50)},
        }
        for i in range(30)
    }
    plan = plan_arguments({"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": defs})
    assert len(plan.left_out) <= NODES_MAX * 2


def test_a_chain_of_all_of_deeper_than_the_stack_is_bounded() -> None:
    schema: object = {"type": "string"}
    for _ in range(900):
        schema = {"allOf": [schema]}
    plan = plan_arguments({"type": "object", "properties": {"x": schema}})
    assert plan.record.members == ()


def test_required_members_are_required_unless_null_may_stand_there() -> None:
    text = types({"a": {"type": "string"}, "b": {"type": ["string", "null"]}}, required=["a", "b", 3])
    assert text == '{ "a": String, "b"?: String }'


@pytest.mark.parametrize("name", sorted(RESERVED_KEYS))
def test_a_member_with_a_name_the_engine_reserves_is_left_out(name: str) -> None:
    plan = plan_arguments({"type": "object", "properties": {name: {"type": "string"}}})
    assert plan.record.members == ()


def test_two_versions_share_what_they_have_in_common() -> None:
    one = plan_arguments(
        {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]}
    )
    two = plan_arguments(
        {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"const": 1}}}
    )
    assert type_text(merge_plans(one.record, two.record)) == '{ "a"?: String, "c"?: Long }'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
schemas = st.recursive(
    json_values | st.sampled_from([{"type": t} for t in ("string", "integer", "number", "boolean", "null")]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", ["string", "null"], 3]),
            "properties": st.dictionaries(st.text(max_size=10), inner, max_size=4) | inner,
            "items": inner,
            "required": st.lists(st.text(max_size=4), max_size=3) | inner,
            "anyOf": st.lists(inner, max_size=3) | inner,
            "allOf": st.lists(inner, max_size=3),
            "$ref": st.sampled_from(["#", "#/properties/a", "#/$defs/x", "http://x/", ""]) | inner,
            "$defs": st.dictionaries(st.sampled_from(["x", "a"]), inner),
            "enum": st.lists(json_values, max_size=3),
            "patternProperties": inner,
        },
    ),
    max_leaves=20,
)


@given(schemas)
@settings(max_examples=200, deadline=None)
def test_any_json_becomes_a_type_that_the_engine_accepts(schema: object) -> None:
    plan = plan_arguments(schema)
    cedarpy.Schema.from_str(f"entity E {type_text(plan.record)};")
