"""What people do with planted values: plant, list, retire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.moments import utc
from toolward.model.honeytoken import HoneyToken, TokenShape
from toolward.model.principal import Principal


async def plant(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """A new value to put somewhere. Parameters: `shape`, `source`; optional `tenant`, `agent`, `place`.

    The answer holds it; the gateway stores only where it was planted.
    """
    try:
        shape = TokenShape(text(parameters, "shape"))
    except ValueError as error:
        raise Rejected(f"`shape` is one of {', '.join(TokenShape)}") from error
    token, value = await desk.parts.honeytokens.plant(
        shape,
        by,
        source=text(parameters, "source"),
        tenant=text(parameters, "tenant", ""),
        agent=text(parameters, "agent", ""),
        place=text(parameters, "place", ""),
    )
    return _row(token) | {"value": value}


async def list_tokens(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """All of them, oldest first, with `values` what was planted. Parameter: `values` (optional)."""
    del by
    tokens = desk.parts.honeytokens
    shown = bool(parameters.get("values"))
    return [_row(each) | ({"value": tokens.value(each)} if shown else {}) for each in tokens.all()]


async def retire(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Look for it no longer, and put its incidents right. Parameter: `token`."""
    return _row(await desk.parts.honeytokens.retire(text(parameters, "token"), by))


def _row(token: HoneyToken) -> dict[str, Any]:
    return {
        "token": token.token_id,
        "shape": token.shape.value,
        "source": token.source,
        "tenant": token.tenant,
        "agent": token.agent,
        "planted_at": utc(token.planted_ns),
        "planted_by": token.planted_by,
        "retired_at": utc(token.retired_ns) if token.retired_ns else "",
    }


VERBS = {
    "honeytokens.plant": Verb(plant),
    "honeytokens.list": Verb(list_tokens),
    "honeytokens.retire": Verb(retire),
}
