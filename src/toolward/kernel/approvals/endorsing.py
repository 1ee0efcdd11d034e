"""A person stands for a source: "do what that mail says". Its values count as the user's own words."""

from __future__ import annotations

from typing import Final

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.kernel.approvals.ground import Ground
from toolward.kernel.endorsed import answer_of, endorse_call
from toolward.kernel.sessions import Sessions
from toolward.model.approval import OWN_USER
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.model.session import Session
from toolward.ports.store import Put, Table
from toolward.rules.canonical import canonical

CALLS_MAX: Final = 200
"""Calls of one tool that are endorsed at once."""


class Endorsing:
    """Endorsements are for one session and for what was said already, never for what is said later."""

    def __init__(self, ground: Ground, sessions: Sessions) -> None:
        self._ground = ground
        self._sessions = sessions

    async def endorse(self, session_id: str, source: str, by: Principal, note: str) -> list[str]:
        """Endorse a call, or all that a tool said so far in the session; returns the calls, oldest first.

        Raises `Rejected` where nothing was said, `Denied` (`not_an_approver`) for who may not.
        """
        session = self._sessions.current(session_id)
        if session is None:
            raise Rejected(f"no session `{session_id[:100]}`", code=ReasonCode.UNKNOWN_SESSION)
        self._check(session, by)
        calls = self._calls(session_id, source)
        if not calls:
            raise Rejected(
                f"`{source[:200]}` said nothing in this session",
                remedy="name a call of the session, or a tool as SERVER/TOOL",
            )
        body = canonical({"by": by.user, "at_ms": self._ground.now_ms(), "note": note})
        event = self._ground.auditor.event(
            EventKind.ENDORSED,
            session_id=session_id,
            body={"by": by.as_json(), "source": source, "calls": calls, "note": note},
        )
        memory = self._sessions.memory(session_id)
        await self._ground.store.commit(
            [event], [Put(Table.ENDORSEMENT, f"{session_id}/{call_id}", body) for call_id in calls]
        )
        for call_id in calls:
            endorse_call(self._ground.store, call_id, memory)
        return calls

    def _check(self, session: Session, by: Principal) -> None:
        may = set(self._ground.settings().endorse_by)
        own = OWN_USER in may and by.user == session.principal.user
        people = self._ground.people
        if not people.is_present(by) or not (own or people.voter(by.user).roles & may):
            raise Denied(
                f"{by.user} can not endorse what this session reads",
                code=ReasonCode.NOT_AN_APPROVER,
                remedy="`approvals.endorse_by` in toolward.yaml says who can",
            )

    def _calls(self, session_id: str, source: str) -> list[str]:
        store = self._ground.store
        if "/" not in source:
            record = answer_of(store, source)
            found = [record] if record is not None else []
        else:
            kinds = (EventKind.CALL_OUTCOME.value, EventKind.CALL_MERGED.value)
            found = [
                record
                for kind in kinds
                for record in store.find(kind=kind, session_id=session_id, tool=source, limit=CALLS_MAX)
            ]
        said = [orjson.loads(record.body) for record in sorted(found, key=lambda each: each.index)]
        return [str(each["call_id"]) for each in said if each["session_id"] == session_id]
