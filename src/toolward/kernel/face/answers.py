"""What the gateway itself answers: the list of tools, a search among them, one of them described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import Reason, ReasonCode
from toolward.kernel.face.catalogue import Shown, ToolCatalogue, View
from toolward.kernel.face.metatools import LIMIT, definitions
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Action, Failed, RawOutcome, Returned
from toolward.model.permit import Permit

INVALID_PARAMS: Final = -32602
LINE_CHARS_MAX: Final = 300
"""Of a description in what a search gives; `describe_tool` has the whole."""


class Answers:
    """Answers actions that no server is asked for. Shows nothing that policy could not allow this caller."""

    def __init__(self, tools: ToolCatalogue) -> None:
        self._tools = tools

    async def __call__(self, permit: Permit, revision: ActiveRevision) -> RawOutcome:
        """The answer to an action of the gateway's own."""
        call = permit.labelled.call
        match call.action:
            case Action.SEARCH_TOOLS:
                return self._search(permit, revision)
            case Action.DESCRIBE_TOOL:
                return self._describe(permit, revision)
            case _:
                return self._list(permit, revision)

    def _list(self, permit: Permit, revision: ActiveRevision) -> Returned:
        """Meta-tools, then pinned definitions by server and name, prefixed at the aggregated endpoint.

        Found tools are not in it: nobody has read their words, and a client hands this list to its model
        unasked.
        """
        call = permit.labelled.call
        face = revision.face(call.session.principal.agent)
        listed: list[Mapping[str, Any]] = []
        if not call.server and face.searches:
            listed += definitions()
        if call.server or face.lists:
            listed += self._tools.listed(View.of(permit, revision), server=call.server)
        return Returned(result={"tools": listed}, size_bytes=len(orjson.dumps(listed)), own=True)

    def _search(self, permit: Permit, revision: ActiveRevision) -> Returned:
        asked = permit.labelled.call.arguments
        limit = asked.get("limit", LIMIT)
        found = self._tools.find(str(asked["query"]), View.of(permit, revision), limit=int(limit))
        return _answer({"tools": [_row(each) for each in found]}, found)

    def _describe(self, permit: Permit, revision: ActiveRevision) -> RawOutcome:
        call = permit.labelled.call
        name = str(call.arguments["tool"])
        shown = self._tools.shown(name, View.of(permit, revision))
        if shown is None:
            return _unknown(name)
        return _answer({**_row(shown), "definition": {**shown.definition, "name": shown.name}}, [shown])


def _row(shown: Shown) -> dict[str, Any]:
    description = " ".join(str(shown.definition.get("description", "")).split())
    row: dict[str, Any] = {"name": shown.name, "description": description[:LINE_CHARS_MAX]}
    if title := shown.definition.get("title"):
        row["title"] = str(title)[:LINE_CHARS_MAX]
    row["state"] = shown.state.value
    row["effect"] = shown.version.manifest.effect.value
    return row


def _answer(content: Mapping[str, Any], shown: list[Shown]) -> Returned:
    """As a tool's result. Words in it that no person has approved taint as a server's result does."""
    text = orjson.dumps(content).decode()
    result = {"content": [{"type": "text", "text": text}], "structuredContent": content}
    return Returned(result=result, size_bytes=2 * len(text), own=not any(each.is_found for each in shown))


def _unknown(name: str) -> Failed:
    """The same for a tool that is not there and for one that this caller may not see."""
    reason = Reason(
        code=ReasonCode.UNKNOWN_TOOL,
        text=f"unknown tool: `{name[:200]}`",
        remedy="search, and use a name from what was found",
    )
    return Failed(
        code=INVALID_PARAMS,
        message=reason.sentence(),
        reason=reason.code.value,
        data=reason.as_json(),
        from_server=False,
    )
