"""A call that waits for a person, a time or a seal: kept as it was asked, asked again from resolve on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.kernel.attempt import CONFIDENCE_META, IDEMPOTENCY_META, PATH_META, Attempt
from toolward.model.call import Action, Call, Era
from toolward.model.principal import Principal, principal_from_json
from toolward.model.tool import Path


def suspended_to_json(call: Call) -> dict[str, Any]:
    """What of a call goes into a row; its arguments are kept apart, encrypted, as a record's payload."""
    return {
        "principal": call.session.principal.as_json(),
        "session_id": call.session.session_id,
        "action": call.action.value,
        "target": call.target,
        "server": call.server,
        "era": call.era.value,
        "args_digest": call.args_digest,
        "idempotency_key": call.idempotency_key,
        "confidence": call.confidence,
        "secure": call.secure,
    }


def attempt_of(row: Mapping[str, Any], arguments: bytes, *, released: str, door: str) -> Attempt:
    """The same question again, `released` by the row of that id. Only tool calls are ever suspended."""
    params: dict[str, Any] = {"name": row["target"], "arguments": orjson.loads(arguments)}
    meta: dict[str, Any] = {}
    if row["idempotency_key"]:
        meta[IDEMPOTENCY_META] = row["idempotency_key"]
    if row.get("confidence"):  # rows of earlier versions have neither this nor the next
        meta[CONFIDENCE_META] = float(row["confidence"])
    if row.get("secure"):
        meta[PATH_META] = Path.SECURE.value
    if meta:
        params["_meta"] = meta
    return Attempt(
        principal=suspended_principal(row),
        session_id=row["session_id"],
        action=Action(row["action"]),
        params=params,
        server=row["server"],
        era=Era(row["era"]),
        door=door,
        released=released,
    )


def suspended_principal(row: Mapping[str, Any]) -> Principal:
    """Who asked."""
    return principal_from_json(row["principal"])
