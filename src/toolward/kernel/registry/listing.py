"""The tools that this caller may see: pinned definitions, filtered by what policy could allow."""

from __future__ import annotations

from typing import Any

import orjson

from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Returned
from toolward.model.permit import Permit
from toolward.model.tool import SEPARATOR


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
            served = self._registry.served(pin.key, channel)
            if served is None or not revision.book.visible(principal, served[1]):
                continue
            definition: dict[str, Any] = orjson.loads(served[1].definition)
            if not call.server:
                definition["name"] = f"{pin.server}{SEPARATOR}{pin.name}"
            found.append(definition)
        result: dict[str, Any] = {"tools": found}
        return Returned(result=result, size_bytes=len(orjson.dumps(result)))
