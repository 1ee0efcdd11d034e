"""What the gateway itself answers: the list of tools, a search among them, one of them described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import Denied, Reason, ReasonCode, Rejected
from toolward.kernel.discovery.discovery import Changed, Discovery
from toolward.kernel.face.catalogue import Shown, ToolCatalogue, View
from toolward.kernel.face.metatools import LIMIT, definitions
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.sessions import Sessions
from toolward.model.call import Action, Failed, RawOutcome, Returned
from toolward.model.found import FoundState
from toolward.model.permit import Permit
from toolward.model.principal import Principal

INVALID_PARAMS: Final = -32602
LINE_CHARS_MAX: Final = 300
"""Of a description in what a search gives; `describe_tool` has the whole."""


class Answers:
    """Answers actions that no server is asked for. Shows nothing that policy could not allow this caller."""

    def __init__(
        self, tools: ToolCatalogue, discovery: Discovery, changed: Changed, sessions: Sessions
    ) -> None:
        """`changed` puts found servers in force; a proposal may be let in by its source."""
        self._sessions = sessions
        self._tools = tools
        self._discovery = discovery
        self._changed = changed

    async def __call__(self, permit: Permit, revision: ActiveRevision) -> RawOutcome:
        """The answer to an action of the gateway's own."""
        call = permit.labelled.call
        match call.action:
            case Action.SEARCH_TOOLS:
                return self._search(permit, revision)
            case Action.DESCRIBE_TOOL:
                return self._describe(permit, revision)
            case Action.PROPOSE_SERVER:
                return await self._propose(permit)
            case Action.DECLARE_PLAN:
                return await self._plan(permit)
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
            listed += definitions(lambda action: self._offers(action, call.session.principal, revision))
        if call.server or face.lists:
            listed += self._tools.listed(View.of(permit, revision), server=call.server)
        return Returned(result={"tools": listed}, size_bytes=len(orjson.dumps(listed)), own=True)

    def _offers(self, action: Action, principal: Principal, revision: ActiveRevision) -> bool:
        if action is Action.PROPOSE_SERVER and not self._discovery.takes_proposals():
            return False
        return revision.book.open_to(principal, action)

    async def _propose(self, permit: Permit) -> RawOutcome:
        try:
            key, row = await self._discovery.propose(permit)
        except Rejected as no:
            return _refused(no.reason)
        if row.state is FoundState.ADMITTED:
            await self._changed()
        said = {"server": key, "state": row.state.value, "name": row.server.name}
        return _answer(said, [])

    async def _plan(self, permit: Permit) -> RawOutcome:
        call = permit.labelled.call
        try:
            _ = await self._sessions.plan(call.session.session_id, str(call.arguments.get("plan", "")))
        except (Rejected, Denied) as no:
            return _refused(no.reason)
        return _answer({"declared": True}, [])

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
            return _refused(_unknown(name))
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


def _unknown(name: str) -> Reason:
    """The same for a tool that is not there and for one that this caller may not see."""
    return Reason(
        code=ReasonCode.UNKNOWN_TOOL,
        text=f"unknown tool: `{name[:200]}`",
        remedy="search, and use a name from what was found",
    )


def _refused(reason: Reason) -> Failed:
    return Failed(
        code=INVALID_PARAMS,
        message=reason.sentence(),
        reason=reason.code.value,
        data=reason.as_json(),
        from_server=False,
    )
