"""An agent's ceiling: its registration as plain forbids, so that user and agent must both be permitted."""

from __future__ import annotations

from dataclasses import dataclass

from toolward.rules.policy import names
from toolward.rules.policy.names import Uid, quote, uid_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What an agent may use at most. None sets no limit, an empty tuple allows nothing.

    `tools` are `server/name`; a tool is inside if it or its server is named. `effects` are effect names.
    Resources, prompts and completion are limited by `servers`, so an agent with `tools` alone has none;
    lists stay possible, as they show only what policy could allow. What a server asks during an allowed call
    is not the agent's doing and not limited here.
    """

    tools: tuple[str, ...] | None = None
    servers: tuple[str, ...] | None = None
    effects: tuple[str, ...] | None = None


def ceiling_policy(agent: str, allowed: Ceiling) -> str:
    """Cedar text of the ceiling; "" when nothing is limited.

    Every rule begins by asking for the agent, see `conditions.agent_guard`.
    """
    parts = []
    if allowed.tools is not None or allowed.servers is not None:
        tools = [Uid(names.TOOL, t) for t in allowed.tools or ()]
        servers = [Uid(names.SERVER, s) for s in allowed.servers or ()]
        parts.append(_forbid(agent, "tools", f"action in {_action('call')}", _inside([*tools, *servers])))
        scope = f"action in {_action(names.ANY_MCP)}"
        lists = f"action in {_action(names.LISTS)}"
        parts.append(_forbid(agent, "servers", scope, f"{lists} || {_inside(servers)}"))
    if allowed.effects is not None:
        groups = ", ".join(_action(names.effect_group(e)) for e in allowed.effects)
        condition = f"action in [{groups}]" if groups else "false"
        parts.append(_forbid(agent, "effects", f"action in {_action('call')}", condition))
    return "\n".join(parts)


def _action(name: str) -> str:
    return uid_text(Uid(names.ACTION, name))


def _inside(entities: list[Uid]) -> str:
    if not entities:
        return "false"
    return " || ".join(f"resource in {uid_text(e)}" for e in entities)


def _forbid(agent: str, what: str, scope: str, condition: str) -> str:
    reason = f"agent `{agent}` is not registered for this"
    return (
        f"@id({quote(f'ceiling/{agent}/{what}')})\n"
        f"@reason({quote(reason)})\n"
        f'@remedy("use another tool, or have the agent\'s registration widened")\n'
        f"forbid (principal, {scope}, resource)\n"
        f"when {{ context.agent == {uid_text(Uid(names.AGENT, agent))} }}\n"
        f"unless {{ {condition} }};"
    )
