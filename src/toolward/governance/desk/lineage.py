"""Where the values of a session came from, for people and for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.sessions import known
from toolward.governance.lineage.openlineage import run_events
from toolward.governance.lineage.prov import prov_json
from toolward.governance.lineage.reading import lineage_of
from toolward.governance.lineage.words import told
from toolward.model.principal import Principal

FORMS = ("words", "prov", "openlineage")


async def lineage(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Where each argument of a session's calls came from. Parameters: `session`, `form` (words)."""
    del by
    form = text(parameters, "form", "words")
    if form not in FORMS:
        raise Rejected(f"`{form[:40]}` is no form of lineage", remedy=f"one of {', '.join(FORMS)}")
    session_id = known(desk, text(parameters, "session"))
    session = desk.parts.sessions.current(session_id)
    if session is None:
        raise Rejected(f"no session `{session_id[:100]}`", code=ReasonCode.UNKNOWN_SESSION)
    found = lineage_of(desk.parts.store, session)
    if form == "prov":
        return {"session": session_id, "cut": found.cut, "document": prov_json(found)}
    if form == "openlineage":
        return {"session": session_id, "cut": found.cut, "events": run_events(found, ward=desk.name)}
    return {"session": session_id, "cut": found.cut, "calls": told(found)}


VERBS = {"sessions.lineage": Verb(lineage)}
