"""One tool stands for all that are alike: the engine finds in policies what it finds by the whole schema."""

from __future__ import annotations

import cedarpy
import pytest

from toolward.model.tool import Effect, Manifest, ToolVersion
from toolward.rules.policy.cedar_schema import read_vocabulary
from toolward.rules.policy.policy_text import Policy, read_policies
from toolward.rules.policy.validation_schema import _kept, validation_schema
from toolward.rules.version import make_version

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def tool(server: str, name: str, effect: Effect = Effect.READ_ONLY, **arguments: object) -> ToolVersion:
    schema = {"type": "object", "properties": arguments, "required": list(arguments)}
    definition = {"name": name, "inputSchema": schema}
    return make_version(server, definition, binding="b", manifest=Manifest(effect=effect))


TOOLS = [
    *(tool("a", f"read{i}", path=TEXT) for i in range(20)),
    *(tool("a", f"write{i}", Effect.REVERSIBLE, path=TEXT, size=NUMBER) for i in range(20)),
    *(tool("b", f"read{i}", path=NUMBER) for i in range(20)),
    tool("b", "odd", other=TEXT),
    tool("c", 'quo"te', path=TEXT),
]
VOCABULARY = read_vocabulary(TOOLS, ["empty"])
CALL = 'action in Toolward::Action::"call"'


@pytest.mark.parametrize(
    "text",
    [
        f"permit (principal, {CALL}, resource);",
        f'forbid (principal, {CALL}, resource) when {{ context.args.path == "x" }};',
        f'forbid (principal, {CALL}, resource) when {{ context.args has path && context.args.path == "x" }};',
        'forbid (principal, action in Toolward::Action::"server:a", resource) when { context.args.path == "x" };',
        'forbid (principal, action in Toolward::Action::"server:a", resource) when { context.args.size > 1 };',
        'forbid (principal, action in Toolward::Action::"writes", resource) when { context.args.size > 1 };',
        'forbid (principal, action == Toolward::Action::"a/read7", resource) when { context.args.path like "x*" };',
        'forbid (principal, action == Toolward::Action::"a/read99", resource);',
        'forbid (principal, action, resource) when { action == Toolward::Action::"b/odd" && context.args.other == "" };',
        'forbid (principal, action in [Toolward::Action::"a/write1", Toolward::Action::"b/odd"], resource) when { context.args.path == "" };',
        'forbid (principal, action == Toolward::Action::"c/quo\\"te", resource) when { context.args.path == 1 };',
        f"forbid (principal, {CALL}, resource) when {{ context.args == context.args }};",
        f"forbid (principal, {CALL}, resource) when {{ context.call.nothing }};",
        'permit (principal, action in Toolward::Action::"server:empty", resource);',
        'permit (principal, action == Toolward::Action::"mcp:resources/read", resource) when { context.args has uri };',
    ],
)
def test_the_findings_are_the_same(text: str) -> None:
    policies = [each for each in read_policies("p.cedar", text) if isinstance(each, Policy)]
    assert policies
    whole = cedarpy.Schema.from_str(VOCABULARY.schema_text)

    def found(schema: cedarpy.Schema) -> set[str]:
        result = cedarpy.validate_policies("\n".join(each.text for each in policies), schema)
        return {_of_any_action(each.error) for each in result.errors}

    assert found(validation_schema(policies, VOCABULARY)) == found(whole)


def _of_any_action(words: str) -> str:
    """The words without which of the tools that are alike they name."""
    return words.partition(" for ")[0] if "not found" in words else words


def test_of_tools_that_no_policy_can_tell_apart_few_stand() -> None:
    shapes = list(VOCABULARY.actions.values())
    plain = [
        each
        for each in read_policies("p", f"permit (principal, {CALL}, resource);")
        if isinstance(each, Policy)
    ]
    assert len(_kept(plain, shapes)) == 4  # servers a (reads, writes), b, c
    named = f'forbid (principal, action == Toolward::Action::"a/read7", resource); permit (principal, {CALL}, resource);'
    policies = [each for each in read_policies("p", named) if isinstance(each, Policy)]
    assert {"a/read0", "a/read7"} <= {each.action_id for each in _kept(policies, shapes)}
