"""Labels for a person to accept, read off what a tool answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.rules.integrity.proposing import RESULTS_MAX, propose_fields


async def propose(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Propose labels for `tool` (SERVER/TOOL): its arguments as they are taken, its fields as they look.

    Nothing changes: what is accepted goes into `tools/SERVER.yaml`. Raises `Rejected` for an unknown tool.
    """
    del by
    key = text(parameters, "tool")
    served = desk.parts.registry.served(key)
    if served is None:
        raise Rejected(f"no tool `{key[:200]}`", remedy="see `toolward tools list`")
    manifest = served[1].manifest
    results = list(_recorded(desk, key))
    return {
        "tool": key,
        "results": len(results),
        "arguments": {
            name: {"role": each.role.value, "kind": each.kind.value}
            for name, each in sorted(manifest.arguments.items())
        },
        "result": manifest.result.as_json() if manifest.result is not None else None,
        "fields": [
            {
                "field": each.field,
                "integrity": "trusted" if each.trusted else "untrusted",
                "confidentiality": "confidential" if each.confidential else "internal",
                "why": each.why,
                "seen": each.seen,
            }
            for each in propose_fields(results)
        ],
    }


def _recorded(desk: Desk, key: str) -> Iterator[Mapping[str, Any]]:
    """The newest results of the tool that are still there."""
    store = desk.parts.store
    for kind in (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED):
        for record in store.find(kind=kind.value, tool=key, limit=RESULTS_MAX):
            body = store.payload(record.index, "result")
            value = orjson.loads(body) if body else None
            if isinstance(value, dict) and value.get("isError") is not True:
                yield value


VERBS = {"tools.label": Verb(propose)}
