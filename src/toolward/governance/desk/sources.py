"""A person stands for what a source said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.governance.desk.context import Desk, Verb, text
from toolward.model.label import Integrity
from toolward.model.principal import Principal


async def endorse(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Endorse a source in a session. Parameters: `session`, `source` (a call, or SERVER/TOOL), `note`."""
    session_id = text(parameters, "session")
    calls = await desk.parts.approvals.endorsing.endorse(
        session_id, text(parameters, "source"), by, text(parameters, "note", "")
    )
    session = desk.parts.sessions.current(session_id)
    judged = desk.parts.sessions.judged(session) if session is not None else None
    return {
        "session": session_id,
        "calls": calls,
        "tainted": judged is not None and judged.taint.integrity is Integrity.UNTRUSTED,
    }


async def declassify(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Let through what a call's answer had withheld, once it is asked again. Parameters: `call`, `why`."""
    return await desk.parts.declassifying.declassify(text(parameters, "call"), by, text(parameters, "why"))


VERBS = {"sources.endorse": Verb(endorse), "sources.declassify": Verb(declassify)}
