"""What the host of an agent does with a session: opens it, moves it from step to step, says how it ended.

A person may do it for every agent, a host's key for the agent that it was made for, an agent's key never.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.sessions import known, shown
from toolward.kernel.objectives.conduct import Ended
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin


async def open_session(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """A session for whoever shows the credential named `key` (one's own), with `objective` and `prompt`.

    The answer's `session` is the handle that the agent's MCP client sends with its calls.
    """
    key = text(parameters, "key", "")
    principal = desk.principal_of(key) if key else by
    if principal.kind is not CredentialKind.API_KEY and (key or not by.is_person):
        raise Rejected(
            "a host opens sessions for its agent's key", remedy="name that `key`: see `toolward keys list`"
        )
    _check_host(by, principal)
    session = await desk.gateway.open_session(
        principal,
        SessionOrigin.HANDLE,
        objective=text(parameters, "objective", ""),
        prompt=text(parameters, "prompt", ""),
        by=by,
    )
    return _where(desk, session)


async def step(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Move a `session` to a `step` of its objective."""
    session_id = _conducted(desk, parameters, by)
    return _where(desk, await desk.conduct.step(session_id, text(parameters, "step"), by=by))


async def finish(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Have it judged whether the objective of a `session` was reached; it ends with that."""
    session_id = _conducted(desk, parameters, by)
    return _ended(session_id, await desk.conduct.finish(session_id, by=by))


async def fail(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Say that a `session` failed, and `why`; it is rolled back if the ward, or a hook, says so."""
    session_id = _conducted(desk, parameters, by)
    why = f"{text(parameters, 'why', '')} (said by {by.user})"
    return _ended(session_id, await desk.conduct.fail(session_id, why, by=by))


def _conducted(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> str:
    session_id = known(desk, text(parameters, "session"))
    session = desk.parts.sessions.current(session_id)
    if session is not None:
        _check_host(by, session.principal)
    return session_id


def _check_host(by: Principal, principal: Principal) -> None:
    if by.kind is CredentialKind.HOST and by.agent != principal.agent:
        raise Rejected(
            f"this host's key is for the agent `{by.agent}`, not for `{principal.agent}`",
            code=ReasonCode.UNAUTHENTICATED,
            remedy=f"make one for it: toolward keys create {principal.agent} --host",
        )


def _where(desk: Desk, session: Session) -> dict[str, Any]:
    declared = desk.revision().objectives.get(session.objective)
    return {
        "session": session.session_id,
        "objective": session.objective,
        "step": session.step,
        "steps": [each.name for each in declared.objective.steps] if declared is not None else [],
    }


def _ended(session_id: str, ended: Ended) -> dict[str, Any]:
    return {
        "session": session_id,
        "outcome": ended.outcome.value,
        "missing": list(ended.missing),
        "rollback": shown(ended.rollback) if ended.rollback is not None else None,
    }


VERBS = {
    "sessions.open": Verb(open_session, by_host=True),
    "sessions.step": Verb(step, by_host=True),
    "sessions.finish": Verb(finish, by_host=True),
    "sessions.fail": Verb(fail, by_host=True),
}
