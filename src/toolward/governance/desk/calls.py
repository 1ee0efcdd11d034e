"""Trying a call, and asking why one would be allowed or denied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import orjson
from msgspec.structs import replace

from toolward.errors import CallerError, Denied, Reason, ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.gates.decisions import trial_session
from toolward.kernel.attempt import CONFIDENCE_META, IDEMPOTENCY_META, PATH_META, Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.stages.decide import off_its_path
from toolward.model.call import Action, Era, LabelledCall
from toolward.model.decision import Allow, Ask, Deny
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.signal import NOTHING_TOLD
from toolward.rules.integrity.provenance import verdicts_of
from toolward.rules.policy.engine import Explanation
from toolward.rules.standing import first_move
from toolward.rules.step import entered
from toolward.rules.undo import undo_in_words


async def call(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One call through the whole corridor: `tool` (server/name), `arguments`, `prompt`, `session`.

    `idempotency_key` names the effect: a retry with the same key never makes a second one.
    """
    server, _, name = text(parameters, "tool").partition("/")
    given = session_id = text(parameters, "session", "")
    if not session_id:
        opened = await desk.gateway.open_session(
            by, SessionOrigin.HANDLE, prompt=text(parameters, "prompt", "")
        )
        session_id = opened.session_id
    params: dict[str, Any] = {"name": name, "arguments": parameters.get("arguments") or {}}
    if key := text(parameters, "idempotency_key", ""):
        params["_meta"] = {IDEMPOTENCY_META: key}
    attempt = Attempt(
        principal=by,
        session_id=session_id,
        action=Action.CALL_TOOL,
        params=params,
        server=server,
        era=Era.STATELESS,
        door="cli",
    )
    reply = await desk.gateway.perform(attempt, QuietExchange())
    if not given:  # it was a run of one call, and that is over: others need not wait for it
        await desk.parts.safeguards.frontiers.leave(session_id)
    out: dict[str, Any] = {"call_id": reply.call_id, "session": session_id, "receipt": reply.receipt}
    if reply.error is not None:
        out["error"] = {"code": reply.error.code, "message": reply.error.message, "data": reply.error.data}
    else:
        out["result"] = reply.result
    return out


async def explain(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Why a call would be allowed, asked or denied, without making it.

    Parameters: `tool`, `arguments`, and optionally `user`, `agent`, `roles`, `prompt`, `tainted`, `session`
    (an existing session's taint and prompt are then used, which tells what it has read: only for a person),
    `objective` and `step` (its first), `confidence`, and `path` (`secure`, as if the host wished it).
    """
    if text(parameters, "session", "") and not by.is_person:
        raise Rejected(
            "explaining with a session's own memory needs a person's credential",
            code=ReasonCode.UNAUTHENTICATED,
            remedy="leave `session` out, or show a person's credential",
        )
    server, _, name = text(parameters, "tool").partition("/")
    principal = Principal(
        user=text(parameters, "user", by.user),
        agent=text(parameters, "agent", by.agent),
        roles=tuple(parameters.get("roles") or by.roles),
        credential="explain",
        kind=CredentialKind.IN_PROCESS,
    )
    revision = desk.revision()
    session = _session(desk, parameters, principal)
    meta = {key: parameters[name] for name, key in _WISHES.items() if name in parameters}
    attempt = Attempt(
        principal=principal,
        session_id=session.session_id,
        action=Action.CALL_TOOL,
        params={"name": name, "arguments": parameters.get("arguments") or {}, "_meta": meta},
        server=server,
        door="explain",
    )
    try:
        admitted = desk.parts.admit(attempt, session)
        resolved = await desk.parts.resolve(admitted, revision)
    except (CallerError, Denied) as refusal:
        return _refused("resolve", refusal.reason)
    labelled = desk.parts.label(resolved, revision)
    off = off_its_path(labelled)
    return {
        **(_explained(revision.book.explain(labelled)) if off is None else _refused("decide", off)),
        "path": labelled.facts.path.value,
        "path_why": labelled.facts.path_why,
        "undo": undo_in_words(resolved.version.manifest) if resolved.version else "",
        "asked_for": labelled.facts.asked_for if labelled.facts.words_known else None,
        "why_unproven": labelled.facts.why_unproven,
        "unexplained": _unexplained(labelled),
        "arguments": [
            {
                "pointer": leaf.pointer,
                "label": leaf.label.as_json(),
                "sources": [f"{source.kind.value} {source.reference}".strip() for source in leaf.sources],
                "integrity": verdict.integrity.name.lower(),
                "why": verdict.why,
                "from_call": verdict.source,
            }
            for leaf, verdict in zip(labelled.leaves, verdicts_of(labelled), strict=True)
        ],
    }


def _unexplained(labelled: LabelledCall) -> dict[str, Any] | None:
    """What the call would tell its server that nothing explains; None where nothing is asked about that."""
    bits, told = labelled.history.unexplained, labelled.history.telling
    if told is NOTHING_TOLD:
        return None
    return {"server": told.server, "bits": bits, "of_this_call": told.bits, "words": list(told.loose)}


def _refused(stage: str, reason: Reason) -> dict[str, Any]:
    """What no policy decided."""
    return {"decision": "deny", "stage": stage, "reason": reason.as_json(), "policies": []}


def _explained(explanation: Explanation) -> dict[str, Any]:
    """The decision in words, and the policies that made it with their place in the ward's files."""
    decision = explanation.decision
    out: dict[str, Any] = {"decision": type(decision).__name__.lower(), "errors": list(explanation.errors)}
    match decision:
        case Allow():
            out["would"] = decision.would.as_json() if decision.would else None
        case Deny():
            out["reason"] = decision.reason.as_json()
        case Ask():
            out["reason"] = decision.reason.as_json()
            out["approval"] = {
                "roles": list(decision.need.roles),
                "quorum": decision.need.quorum,
                "four_eyes": decision.need.four_eyes,
                "expires_s": decision.need.expires_s,
            }
        case _:
            assert_never(decision)
    out["policies"] = [
        {"id": policy.policy_id, "file": policy.file, "line": policy.line, "text": policy.text}
        for policy in explanation.determining
    ]
    out["considered"] = len(explanation.considered)
    out["context"] = orjson.loads(explanation.context) if explanation.context else None
    return out


def _session(desk: Desk, parameters: Mapping[str, Any], principal: Principal) -> Session:
    known = desk.parts.sessions.current(text(parameters, "session", ""))
    if known is not None:
        return known
    prompt, tainted = text(parameters, "prompt", ""), bool(parameters.get("tainted"))
    session = trial_session(desk, principal, prompt=prompt, tainted=tainted)
    objective, revision = text(parameters, "objective", ""), desk.revision()
    first = first_move(objective, revision.objectives, revision.channel, by=principal)
    session = replace(session, objective=objective)
    if first is None:
        return session
    return entered(session, text(parameters, "step", first.step), session.opened_ns)


_WISHES = {"confidence": CONFIDENCE_META, "path": PATH_META}


VERBS = {"call": Verb(call), "explain": Verb(explain, needs_person=False)}
