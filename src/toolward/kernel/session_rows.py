"""Sessions as the store keeps them."""

from __future__ import annotations

import orjson

from toolward.model.label import Label
from toolward.model.principal import principal_from_json
from toolward.model.session import MANY, Savepoint, Session, SessionOrigin
from toolward.rules.canonical import canonical


def session_to_json(session: Session) -> bytes:
    """Canonical bytes for the store."""
    return canonical(
        {
            "principal": session.principal.as_json(),
            "origin": session.origin.value,
            "objective": session.objective,
            "prompt": session.prompt,
            "plan": session.plan,
            "taint": session.taint.as_json(),
            "untrusted": list(session.untrusted),
            "savepoints": [{"name": s.name, "log_index": s.log_index} for s in session.savepoints],
            "opened_ns": str(session.opened_ns),
            "last_used_ns": str(session.last_used_ns),
        }
    )


def session_from_json(session_id: str, body: bytes) -> Session:
    """The inverse of `session_to_json`."""
    value = orjson.loads(body)
    return Session(
        session_id=session_id,
        principal=principal_from_json(value["principal"]),
        origin=SessionOrigin(value["origin"]),
        objective=value["objective"],
        prompt=value["prompt"],
        plan=value.get("plan", ""),
        taint=Label.from_json(value["taint"]),
        untrusted=tuple(value.get("untrusted", [MANY])),  # rows of earlier versions name none
        savepoints=tuple(Savepoint(name=s["name"], log_index=s["log_index"]) for s in value["savepoints"]),
        opened_ns=int(value["opened_ns"]),
        last_used_ns=int(value["last_used_ns"]),
    )
