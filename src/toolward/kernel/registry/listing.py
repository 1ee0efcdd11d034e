"""The tools that this caller may see: pinned definitions, filtered by what policy could allow."""

from __future__ import annotations

from typing import Any, Final

import orjson

from toolward.kernel.registry.registry import Registry
from toolward.kernel.registry.shelf import LISTED
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Returned
from toolward.model.permit import Permit
from toolward.model.tool import SEPARATOR, ToolState

DEPRECATED_META: Final = "dev.toolward/deprecated"
"""In the `_meta` of a deprecated tool's definition: who takes its place."""


class Listing:
    """Answers `tools/list` from the pins, never from what a server says at the moment."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def tools(self, permit: Permit, revision: ActiveRevision) -> Returned:
        """Definitions in a fixed order (server, then name); names are prefixed at the aggregated endpoint."""
        call = permit.labelled.call
        principal = call.session.principal
        channel = revision.channel_of(principal.agent)
        found: list[dict[str, Any]] = []
        for pin in self._registry.pins(channel):
            if call.server and pin.server != call.server:
                continue
            if revision.binding(pin.server) is None:
                continue
            served = self._registry.serving(pin.key, channel, call.session)
            if served is None or served[1] not in LISTED or not revision.book.visible(principal, served[0]):
                continue
            definition: dict[str, Any] = orjson.loads(served[0].definition)
            if served[1] is ToolState.DEPRECATED:
                note = {"successor": pin.successor}
                definition["_meta"] = {**(definition.get("_meta") or {}), DEPRECATED_META: note}
            if not call.server:
                definition["name"] = f"{pin.server}{SEPARATOR}{pin.name}"
            found.append(definition)
        result: dict[str, Any] = {"tools": found}
        return Returned(result=result, size_bytes=len(orjson.dumps(result)))
