"""Values on their way to the engine: typed, exact, and nothing of the agent's interpreted."""

from __future__ import annotations

import cedarpy
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_samples import labelled, tool
from toolward.errors import ReasonCode
from toolward.model.call import LabelledCall
from toolward.model.decision import Allow, Deny
from toolward.model.tool import ToolVersion
from toolward.rules.policy import PolicyBook
from toolward.rules.policy.argument_types import plan_arguments
from toolward.rules.policy.cedar_request import Unjudgeable, compile_context, prune
from toolward.rules.policy.cedar_schema import read_vocabulary

ALL = frozenset({()})


def context(version: ToolVersion, call: LabelledCall) -> dict[str, object]:
    shape = read_vocabulary([version]).tools[version.key, version.digest]
    found = orjson.loads(compile_context(prune(shape.context, ALL)).build(call))
    assert isinstance(found, dict)
    return found


NUMBER = tool("n", {"x": {"type": "number"}})


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (1, "1.0000"),
        (-2.5, "-2.5000"),
        (0.1, "0.1000"),
        (1e-4, "0.0001"),
        (922337203685477, "922337203685477.0000"),
        (1e3, "1000.0000"),
    ],
)
def test_numbers_become_exact_decimals(value: float, sent: str) -> None:
    args = context(NUMBER, labelled(NUMBER, {"x": value}))["args"]
    assert args == {"x": {"__extn": {"fn": "decimal", "arg": sent}}}


@pytest.mark.parametrize("value", [0.00001, 1e300, 922337203685478, -1e15, 2**70, 48.85837009])
def test_a_number_that_no_decimal_holds_denies_only_where_a_policy_looks_at_it(value: float) -> None:
    blind = PolicyBook.compile(tools=[NUMBER], policies={"p": "permit (principal, action, resource);"})
    looking = PolicyBook.compile(
        tools=[NUMBER],
        policies={
            "p": "permit (principal, action, resource);"
            'forbid (principal, action == Toolward::Action::"files/n", resource)'
            ' when { context.args has x && context.args.x.greaterThan(decimal("1.0")) };'
        },
    )
    assert isinstance(blind.decide(labelled(NUMBER, {"x": value})), Allow)
    decision = looking.decide(labelled(NUMBER, {"x": value}))
    assert isinstance(decision, Deny)
    assert decision.reason.code is ReasonCode.NUMBER_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, 1),
        ({"type": "string"}, None),
        ({"type": "string"}, {"__entity": {"type": "Toolward::Role", "id": "admin"}}),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, 2**63),
        ({"type": "integer"}, -(2**63) - 1),
        ({"type": "boolean"}, 0),
        ({"type": "number"}, "1"),
        ({"type": "number"}, True),
        ({"type": "array", "items": {"type": "string"}}, "abc"),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1]),
        ({"type": "object", "properties": {"y": {"type": "string"}}}, ["y"]),
        ({"type": "object", "properties": {"y": {"type": "string"}}, "required": ["y"]}, {}),
    ],
)
def test_a_value_that_is_not_what_its_schema_says_is_never_judged(schema: object, value: object) -> None:
    version = tool("t", {"x": schema})
    with pytest.raises(Unjudgeable):
        context(version, labelled(version, {"x": value}))


def test_null_is_dropped_only_where_the_schema_allows_null() -> None:
    version = tool("t", {"x": {"type": ["string", "null"]}}, required=("x",))
    assert context(version, labelled(version, {"x": None}))["args"] == {}


def test_an_integral_float_is_an_integer_as_json_schema_has_it() -> None:
    version = tool("t", {"x": {"type": "integer"}})
    assert context(version, labelled(version, {"x": 5.0}))["args"] == {"x": 5}


@pytest.mark.parametrize("key", ["__entity", "__extn", "__expr"])
@pytest.mark.parametrize("place", [lambda k: {k: 1}, lambda k: {"free": [{"deep": {k: {}}}]}])
def test_a_reserved_key_anywhere_in_the_arguments_is_a_denial(key: str, place: object) -> None:
    version = tool("t", {"path": {"type": "string"}})
    book = PolicyBook.compile(tools=[version], policies={"p": "permit (principal, action, resource);"})
    decision = book.decide(labelled(version, place(key)))  # type: ignore[operator]
    assert isinstance(decision, Deny)
    assert decision.reason.code is ReasonCode.RESERVED_KEY


def test_a_text_that_merely_speaks_of_a_reserved_key_is_only_text() -> None:
    version = tool("t", {"path": {"type": "string"}})
    book = PolicyBook.compile(tools=[version], policies={"p": "permit (principal, action, resource);"})
    assert isinstance(book.decide(labelled(version, {"path": '{"__entity":{"type":"a"}}'})), Allow)


FORBID_OTHERS = (
    "permit (principal, action, resource);"
    'forbid (principal, action == Toolward::Action::"files/t", resource)'
    ' unless { context.args has owner && context.args.owner == "ann" };'
)


def test_entity_injection_works_on_the_bare_engine_and_not_here() -> None:
    # Control: handed on as they are, the agent's arguments become an entity of its choice.
    bare = cedarpy.is_authorized(
        {
            "principal": 'User::"mallory"',
            "action": 'Action::"t"',
            "resource": 'Tool::"t"',
            "context": {"owner": {"__entity": {"type": "User", "id": "mallory"}}},
        },
        "permit (principal, action, resource) when { context.owner == principal };",
        [],
    )
    assert bare.allowed
    # Here a value reaches the engine only as what the tool's schema says.
    version = tool("t", {"owner": {"type": "string"}})
    book = PolicyBook.compile(tools=[version], policies={"p": FORBID_OTHERS})
    injected = {"owner": {"__entity": {"type": "Toolward::User", "id": "ann"}}}
    assert isinstance(book.decide(labelled(version, injected)), Deny)
    assert isinstance(book.decide(labelled(version, {"owner": "ann"})), Allow)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(min_value=-(2**60), max_value=2**60))
def test_a_number_is_sent_exactly_or_not_at_all(value: float) -> None:
    plan = plan_arguments({"properties": {"x": {"type": "number"}}})
    builder = compile_context(
        prune(read_vocabulary([NUMBER]).tools[NUMBER.key, NUMBER.digest].context, {("args", "x")})
    )
    assert plan.record.members[0].name == "x"
    try:
        sent = orjson.loads(builder.build(labelled(NUMBER, {"x": value})))
    except Unjudgeable:
        return
    assert float(sent["args"]["x"]["__extn"]["arg"]) == value
