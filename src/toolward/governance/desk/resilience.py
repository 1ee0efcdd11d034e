"""Circuits, lanes and retry budgets, as people see and mend them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.model.principal import Principal


async def shown(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every server and tool that was called or failed since the gateway started."""
    del parameters, by
    return desk.parts.resilience.shown()


async def close(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Close the circuits of a server or tool at once. Raises `Rejected` where none is open."""
    key = text(parameters, "key")
    closed = await desk.parts.resilience.close(key, by.user)
    if not closed:
        raise Rejected(f"no circuit of `{key[:200]}` is open", remedy="see `toolward circuits list`")
    return {"key": key, "closed": closed}


VERBS = {
    "circuits.list": Verb(shown, needs_person=False),
    "circuits.close": Verb(close),
}
