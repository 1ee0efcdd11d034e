"""A call that waits for a person, a time or a seal: kept as it was asked, asked again from resolve on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.kernel.attempt import IDEMPOTENCY_META, Attempt
from toolward.model.call import Action, Call, Era
from toolward.model.principal import Principal, principal_from_json


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
    }


def attempt_of(row: Mapping[str, Any], arguments: bytes, *, released: str, door: str) -> Attempt:
    """The same question again, `released` by the row of that id. Only tool calls are ever suspended."""
    params: dict[str, Any] = {"name": row["target"], "arguments": orjson.loads(arguments)}
    if row["idempotency_key"]:
        params["_meta"] = {IDEMPOTENCY_META: row["idempotency_key"]}
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
