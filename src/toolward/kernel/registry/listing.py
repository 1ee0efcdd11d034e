"""The tools that this caller may see: pinned definitions, filtered by what policy could allow."""

from __future__ import annotations

from typing import Any

import orjson

from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Returned
from toolward.model.permit import Permit
from toolward.model.tool import SEPARATOR
from toolward.rules.step import names_tool


class Listing:
    """Answers `tools/list` from the pins, never from what a server says at the moment."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def tools(self, permit: Permit, revision: ActiveRevision) -> Returned:
        """Definitions in a fixed order (server, then name); names are prefixed at the aggregated endpoint.

        In a session with an objective these are the step's tools only.
        """
        call = permit.labelled.call
        principal, step = call.session.principal, permit.labelled.resolved.step
        found: list[dict[str, Any]] = []
        for pin in self._registry.pins():
            if call.server and pin.server != call.server:
                continue
            if revision.binding(pin.server) is None or (step is not None and not names_tool(step, pin.key)):
                continue
            served = self._registry.served(pin.key)
            if served is None or not revision.book.visible(principal, served[1]):
                continue
            definition: dict[str, Any] = orjson.loads(served[1].definition)
            if not call.server:
                definition["name"] = f"{pin.server}{SEPARATOR}{pin.name}"
            found.append(definition)
        result: dict[str, Any] = {"tools": found}
        return Returned(result=result, size_bytes=len(orjson.dumps(result)))
