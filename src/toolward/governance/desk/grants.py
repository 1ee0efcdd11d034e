"""Standing answers: grants for like calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.kernel.approvals.grants import grant_like, grant_to_json
from toolward.model.approval import Grant, Pattern
from toolward.model.decision import ApprovalNeed
from toolward.model.principal import Principal
from toolward.rules.grant import patterns_of
from toolward.rules.policy.wording import part_of

USES_DEFAULT: Final = 20
EXPIRES_DEFAULT_S: Final = 8 * 3600
"""A working day."""


async def list_grants(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """All grants, oldest first; `standing` shows only those in force."""
    del by
    approvals = desk.parts.approvals
    now = approvals.ground.now_ms()
    rows = [grant_to_json(grant, used, now_ms=now) for grant, used in approvals.grants.every()]
    return [row for row in rows if not parameters.get("standing") or row["state"] == "standing"]


async def make(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """A grant for like calls.

    Parameters: `approval`, the question that calls shall be like, which gives tool, caller, policies and the
    deciding arguments; or all of `tool`, `user`, `agent`, `policies` (and `session`). Then `arguments`
    ({pointer: {"equals": V} | {"under": PLACE} | {"anything": true}}), `uses`, `expires_s`, `session` (an
    identifier, or true for the session of the approval), `note`.
    """
    now = desk.parts.approvals.ground.now_ms()
    uses, expires_s = parameters.get("uses", USES_DEFAULT), parameters.get("expires_s", EXPIRES_DEFAULT_S)
    if type(uses) is not int or type(expires_s) is not int:
        raise Rejected("`uses` and `expires_s` are numbers")
    bounds: dict[str, Any] = {
        "grant_id": desk.parts.ids.new(),
        "uses": uses,
        "made_ms": now,
        "expires_ms": now + expires_s * 1000,
        "note": text(parameters, "note", ""),
    }
    grant = (
        _like(desk, parameters, by, bounds)
        if "approval" in parameters
        else _free(desk, parameters, by, bounds)
    )
    made = await desk.parts.approvals.grants.make(grant, by)
    return grant_to_json(made, 0, now_ms=now)


async def end(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Take a grant back. Parameter: `grant`."""
    approvals = desk.parts.approvals
    ended = await approvals.grants.end(text(parameters, "grant"), by)
    used = next((count for each, count in approvals.grants.every() if each.grant_id == ended.grant_id), 0)
    return grant_to_json(ended, used, now_ms=approvals.ground.now_ms())


def _like(desk: Desk, parameters: Mapping[str, Any], by: Principal, bounds: dict[str, Any]) -> Grant:
    ground = desk.parts.approvals.ground
    approval = ground.found(text(parameters, "approval")).approval
    version = desk.parts.registry.version(approval.version) if approval.version else None
    arguments = ground.arguments(approval)
    if version is None or arguments is None:
        raise Rejected(
            "calls like this one can not be granted: it names no tool, or its arguments were erased"
        )
    patterns = patterns_of(orjson.loads(arguments), version.manifest.arguments) | _patterns(parameters)
    wanted = parameters.get("session", False)
    session = str(approval.call["session_id"]) if wanted is True else wanted or ""
    if not isinstance(session, str):
        raise Rejected("`session` is an identifier, or true")
    return grant_like(approval, by, arguments=patterns, session_id=session, **bounds)


def _free(desk: Desk, parameters: Mapping[str, Any], by: Principal, bounds: dict[str, Any]) -> Grant:
    session_id = text(parameters, "session", "")
    session = desk.parts.sessions.current(session_id) if session_id else None
    if session_id and session is None:
        raise Rejected(f"no session `{session_id[:100]}`")
    tool = text(parameters, "tool")
    served = desk.parts.registry.served(tool)
    if served is None:
        raise Rejected(f"no tool `{tool[:200]}` is served", remedy="see `toolward tools list`")
    return Grant(
        by=by.user,
        credential=by.credential,
        user=session.principal.user if session else text(parameters, "user"),
        agent=session.principal.agent if session else text(parameters, "agent"),
        session_id=session_id,
        tool=tool,
        version=served[1].digest,
        arguments=_patterns(parameters),
        parts=_parts(desk, parameters),
        **bounds,
    )


def _parts(desk: Desk, parameters: Mapping[str, Any]) -> tuple[ApprovalNeed, ...]:
    """What the named askable forbids demand, as they read now."""
    wanted = parameters.get("policies")
    if not isinstance(wanted, list) or not wanted:
        raise Rejected("`policies` names the rules that the grant lifts")
    askable = {each.policy_id: each for each in desk.revision().book.policies}
    parts = []
    for name in wanted:
        policy = askable.get(name) if isinstance(name, str) else None
        if policy is None or policy.ask is None:
            raise Rejected(
                f"`{str(name)[:100]}` is no rule that a person can lift", remedy="see `toolward explain`"
            )
        parts.append(part_of(policy, policy.ask))
    return tuple(parts)


def _patterns(parameters: Mapping[str, Any]) -> dict[str, Pattern]:
    given = parameters.get("arguments") or {}
    if not isinstance(given, Mapping):
        raise Rejected("`arguments` is an object of pointers and patterns")
    return {str(pointer): _pattern(str(pointer), value) for pointer, value in given.items()}


def _pattern(pointer: str, value: Any) -> Pattern:
    match value:
        case {"equals": wanted, **rest} if not rest:
            return Pattern(equals=wanted)
        case {"under": str(place), **rest} if place and not rest:
            return Pattern(under=place)
        case {"anything": True, **rest} if not rest:
            return Pattern(anything=True)
        case _:
            raise Rejected(
                f"`{pointer[:100]}` has no pattern",
                remedy='write {"equals": VALUE}, {"under": PATH_OR_HOST} or {"anything": true}',
            )


VERBS = {
    "grants.list": Verb(list_grants),
    "grants.make": Verb(make),
    "grants.end": Verb(end),
}
