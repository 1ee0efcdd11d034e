"""The Cedar schema of a ward, generated from the tools' JSON Schemas.

`Vocabulary` is the compiled whole: the shape of each tool version and of each action of MCP, and the schema
text against which policies are validated. Where a ward holds several versions of one tool, policies are
written against what the versions have in common (`merge_plans`), each call is judged with the groups of its
own version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cedarpy
import orjson

from toolward.errors import WardError
from toolward.model.call import Action
from toolward.model.tool import ToolVersion
from toolward.rules.policy import names
from toolward.rules.policy.argument_types import (
    ArgumentPlan,
    ArgumentType,
    Member,
    Record,
    Scalar,
    SetOf,
    merge_plans,
    plan_arguments,
)
from toolward.rules.policy.names import quote

_NOTHING: Final = ArgumentPlan(Record(()), (("", "the schema could not be expressed in Cedar"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the policy engine must know of one action: its id, groups, resource and typed context."""

    action_id: str
    groups: tuple[str, ...]
    resource_type: str
    resource_id: str
    server: str
    context: Record
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Everything policies of one ward can name.

    `tools` is keyed by (`server/name`, version digest), since one digest may be registered under two names.
    The shape of a non-tool action holds no server: the resource is the server of the call at hand.
    """

    tools: Mapping[tuple[str, str], Shape]
    mcp: Mapping[Action, Shape]
    schema_text: str
    schema: cedarpy.Schema
    tool_keys: frozenset[str]
    servers: frozenset[str]


def read_vocabulary(tools: Sequence[ToolVersion], servers: Iterable[str] = ()) -> Vocabulary:
    """Compile the vocabulary of `tools` and of further `servers` that may have no tool.

    Raises `WardError` for a server name that could be mistaken for something else in an action id. A tool
    whose schema can't be expressed has no typed arguments; that is in its shape's `left_out`.
    """
    known = frozenset(servers) | {t.server for t in tools}
    for server in known:
        if "/" in server or ":" in server:
            raise WardError(
                f"server name `{server}` holds `/` or `:`", remedy="rename the server in toolward.yaml"
            )
    plans: dict[str, ArgumentPlan] = {}
    for tool in tools:
        plan = _plan(tool)
        if (earlier := plans.get(tool.key)) is not None:
            record = merge_plans(earlier.record, plan.record)
            plan = ArgumentPlan(record, tuple(dict.fromkeys(earlier.left_out + plan.left_out)))
        plans[tool.key] = plan
    shapes = {(t.key, t.digest): _tool_shape(t, plans[t.key]) for t in tools}
    mcp: dict[Action, Shape] = {a: _mcp_shape(a) for a in Action if a is not Action.CALL_TOOL}
    text = _schema_text([*_merged(shapes.values()), *mcp.values()], known)
    return Vocabulary(
        tools=shapes,
        mcp=mcp,
        schema_text=text,
        schema=cedarpy.Schema.from_str(text),
        tool_keys=frozenset(plans),
        servers=known,
    )


def action_schema(shape: Shape, context: Record) -> str:
    """A schema with this one action and its groups, for judging one call with a pruned `context`."""
    groups = [f"  action {quote(g)};" for g in shape.groups]
    return _namespace([*groups, _action_text(shape, context)])


def type_text(kind: ArgumentType) -> str:
    """A type as it is written in the schema."""
    if isinstance(kind, Scalar):
        return kind.name
    if isinstance(kind, SetOf):
        return f"Set<{kind.element.name}>"
    inner = ", ".join(
        f"{quote(m.name)}{'' if m.required else '?'}: {type_text(m.type)}" for m in kind.members
    )
    return f"{{ {inner} }}"


AGENT_TYPE: Final = Scalar("Agent")


def _facts(pairs: tuple[tuple[str, str], ...]) -> Record:
    return Record(
        tuple(Member(n, Scalar(t), required=n != names.CONFIDENCE, nullable=False) for n, t in pairs)
    )


def _context(arguments: Record) -> Record:
    """The whole context of one action."""
    parts: tuple[tuple[str, ArgumentType], ...] = (
        ("agent", AGENT_TYPE),
        ("call", _facts(names.CALL_FACTS)),
        ("session", _facts(names.SESSION_FACTS)),
        ("args", arguments),
    )
    return Record(tuple(Member(n, t, required=True, nullable=False) for n, t in parts))


def _plan(tool: ToolVersion) -> ArgumentPlan:
    try:
        definition: Any = orjson.loads(tool.definition)
    except orjson.JSONDecodeError:
        return _NOTHING
    schema = definition.get("inputSchema") if isinstance(definition, Mapping) else None
    plan = plan_arguments(schema)
    # One tool that names its arguments in a way the engine refuses must not take the ward's policies down.
    try:
        cedarpy.Schema.from_str(f"entity E {type_text(plan.record)};")
    except ValueError:
        return _NOTHING
    return plan


def _tool_shape(tool: ToolVersion, plan: ArgumentPlan) -> Shape:
    return Shape(
        action_id=tool.key,
        groups=names.tool_groups(tool.server, tool.manifest.effect),
        resource_type=names.TOOL,
        resource_id=tool.key,
        server=tool.server,
        context=_context(plan.record),
        left_out=plan.left_out,
    )


def _mcp_shape(action: Action) -> Shape:
    members = [
        Member(n, Scalar("String"), required=False, nullable=True)
        for n in names.MCP_ARGUMENTS.get(action, ())
    ]
    return Shape(
        action_id=names.mcp_action_id(action),
        groups=names.mcp_groups(action),
        resource_type=names.SERVER,
        resource_id="",
        server="",
        context=_context(Record(tuple(members))),
    )


def _merged(shapes: Iterable[Shape]) -> list[Shape]:
    """One shape for each action id; of several versions with different effects the groups of all."""
    merged: dict[str, Shape] = {}
    for shape in shapes:
        if (earlier := merged.get(shape.action_id)) is None:
            merged[shape.action_id] = shape
            continue
        groups = tuple(dict.fromkeys(earlier.groups + shape.groups))
        merged[shape.action_id] = Shape(
            action_id=shape.action_id,
            groups=groups,
            resource_type=shape.resource_type,
            resource_id=shape.resource_id,
            server=shape.server,
            context=shape.context,
        )
    return list(merged.values())


def _schema_text(shapes: Sequence[Shape], servers: frozenset[str]) -> str:
    groups = [*names.ALL_GROUPS, *(names.server_group(s) for s in sorted(servers))]
    body = [f"  action {quote(g)};" for g in dict.fromkeys(groups)]
    body += [_action_text(s, s.context) for s in shapes]
    return _namespace(body)


def _action_text(shape: Shape, context: Record) -> str:
    groups = ", ".join(f"Action::{quote(g)}" for g in shape.groups)
    resource = shape.resource_type.rpartition("::")[2]
    return (
        f"  action {quote(shape.action_id)} in [{groups}] appliesTo {{\n"
        f"    principal: [User], resource: [{resource}],\n"
        f"    context: {type_text(context)}\n  }};"
    )


def _namespace(body: Sequence[str]) -> str:
    head = [
        f"namespace {names.NAMESPACE} {{",
        "  entity Role;",
        "  entity User in [Role];",
        "  entity Agent;",
        "  entity Server;",
        "  entity Tool in [Server];",
    ]
    return "\n".join([*head, *body, "}"]) + "\n"
