"""The Cedar schema of a ward, generated from the tools' JSON Schemas.

`Vocabulary` is the compiled whole: the shape of each tool version and of each action of MCP, and the schema
text against which policies are validated. Where a ward holds several versions of one tool, policies are
written against what the versions have in common (`merge_plans`), each call is judged with the groups of its
own version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import cedarpy
import orjson

from toolward.errors import WardError
from toolward.model.call import Action
from toolward.model.tool import Effect, ToolVersion
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

TOOLS_REMEMBERED: Final = 32_768
"""Definitions whose types stay read, some kilobytes each: a change of one tool reads the others no more."""
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

    `schema_text` is the whole. `tools` is keyed by (`server/name`, version digest), since one digest may
    be registered under two names.
    The shape of a non-tool action holds no server: the resource is the server of the call at hand.
    """

    tools: Mapping[tuple[str, str], Shape]
    actions: Mapping[str, Shape]  # by action id, what the versions of one tool have in common
    mcp: Mapping[Action, Shape]
    schema_text: str
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
    by_key: dict[str, list[ToolVersion]] = {}
    for tool in tools:
        by_key.setdefault(tool.key, []).append(tool)
    shapes: dict[tuple[str, str], Shape] = {}
    actions: dict[str, Shape] = {}
    texts: list[str] = []
    for key, versions in by_key.items():
        if len(versions) == 1:
            [tool] = versions
            shape, text = _alone(tool.server, tool.name, tool.manifest.effect, tool.definition)
            shapes[key, tool.digest] = actions[key] = shape
        else:
            several = _several(versions)
            shapes |= several
            actions[key] = _merged(list(several.values()))
            text = _action_text(actions[key], actions[key].context)
        texts.append(text)
    mcp: dict[Action, Shape] = {a: _mcp_shape(a) for a in Action if a is not Action.CALL_TOOL}
    texts += [_action_text(shape, shape.context) for shape in mcp.values()]
    return Vocabulary(
        tools=shapes,
        actions=actions,
        mcp=mcp,
        schema_text=_with_groups(texts, known),
        tool_keys=frozenset(by_key),
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
        tuple(
            Member(n, _fact_type(t), required=n not in names.MAY_BE_ABSENT, nullable=False) for n, t in pairs
        )
    )


def _fact_type(text: str) -> ArgumentType:
    element = text.removeprefix("Set<").removesuffix(">")
    return Scalar(text) if element == text else SetOf(Scalar(element))


PROVENANCE_TYPE: Final = Scalar(names.PROVENANCE)


def _context(plan: ArgumentPlan) -> Record:
    """The whole context of one action. Who stands behind an argument is told of untyped ones too."""
    required = {member.name: member.required for member in plan.record.members}
    untyped = {pointer[1:] for pointer, _ in plan.left_out if pointer.count("/") == 1}
    told = (*required, *sorted(name for name in untyped - set(required) if "~" not in name))
    provenance = Record(
        tuple(Member(n, PROVENANCE_TYPE, required=required.get(n, False), nullable=False) for n in told)
    )
    parts: tuple[tuple[str, ArgumentType], ...] = (
        ("agent", AGENT_TYPE),
        ("call", _facts(names.CALL_FACTS)),
        ("session", _facts((*names.SESSION_FACTS, *names.HISTORY_FACTS))),
        ("signals", _facts(names.SIGNAL_FACTS)),
        ("args", plan.record),
        ("provenance", provenance),
    )
    return Record(tuple(Member(n, t, required=True, nullable=False) for n, t in parts))


@lru_cache(maxsize=TOOLS_REMEMBERED)
def _alone(server: str, name: str, effect: Effect, definition: bytes) -> tuple[Shape, str]:
    """The shape of a tool of which there is one version, and its text: no other tool changes them."""
    shape = _tool_shape(server, name, effect, _plan(definition))
    return shape, _action_text(shape, shape.context)


def _several(versions: Sequence[ToolVersion]) -> dict[tuple[str, str], Shape]:
    """The shapes of several versions of one tool, with the arguments that they have in common."""
    plan = _plan(versions[0].definition)
    for version in versions[1:]:
        other = _plan(version.definition)
        left_out = tuple(dict.fromkeys(plan.left_out + other.left_out))
        plan = ArgumentPlan(merge_plans(plan.record, other.record), left_out)
    return {(v.key, v.digest): _tool_shape(v.server, v.name, v.manifest.effect, plan) for v in versions}


@lru_cache(maxsize=TOOLS_REMEMBERED)
def _plan(definition: bytes) -> ArgumentPlan:
    try:
        said: Any = orjson.loads(definition)
    except orjson.JSONDecodeError:
        return _NOTHING
    schema = said.get("inputSchema") if isinstance(said, Mapping) else None
    plan = plan_arguments(schema)
    # One tool that names its arguments in a way the engine refuses must not take the ward's policies down.
    try:
        cedarpy.Schema.from_str(f"entity E {type_text(plan.record)};")
    except ValueError:
        return _NOTHING
    return plan


def _tool_shape(server: str, name: str, effect: Effect, plan: ArgumentPlan) -> Shape:
    key = f"{server}/{name}"
    return Shape(
        action_id=key,
        groups=names.tool_groups(server, effect),
        resource_type=names.TOOL,
        resource_id=key,
        server=server,
        context=_context(plan),
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
        context=_context(ArgumentPlan(Record(tuple(members)))),
    )


def _merged(shapes: Sequence[Shape]) -> Shape:
    """One shape of several versions; where their effects differ, with the groups of all."""
    groups = tuple(dict.fromkeys(group for shape in shapes for group in shape.groups))
    return replace(shapes[0], groups=groups, left_out=())


def schema_text(shapes: Sequence[Shape], servers: frozenset[str]) -> str:
    """The schema with these actions and every group that there is."""
    return _with_groups([_action_text(shape, shape.context) for shape in shapes], servers)


def _with_groups(actions: Sequence[str], servers: frozenset[str]) -> str:
    groups = [*names.ALL_GROUPS, *(names.server_group(s) for s in sorted(servers))]
    return _namespace([*(f"  action {quote(g)};" for g in dict.fromkeys(groups)), *actions])


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
        f"  type {names.PROVENANCE} = {{ integrity: String, sources: Set<String> }};",
    ]
    return "\n".join([*head, *body, "}"]) + "\n"
