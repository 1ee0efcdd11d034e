"""A person lets one answer through that an agent's clearance does not cover: in one session, for one call.

What is let through is named by what was asked: the same tool version with the same arguments in the same
session. The answer is given anew, and its fields count there as no more confidential than the clearance.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.kernel.approvals.people import People
from toolward.kernel.audit import Auditor
from toolward.kernel.endorsed import answer_of
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.store import Put, Store, Table
from toolward.rules.canonical import canonical

ROLE: Final = "declassify"
"""Who may; nobody has it unless the ward says so."""


class Declassifying:
    """Answers that people let through."""

    def __init__(self, store: Store, auditor: Auditor, people: People, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._people = people
        self._clock = clock

    def by(self, permit: Permit) -> str:
        """Who let through what this call answers, "" if nobody did."""
        session = permit.labelled.call.session.session_id
        row = self._store.get(Table.DECLASSIFIED, _key(session, permit.version_digest, permit.args_digest))
        return str(orjson.loads(row.body)["by"]) if row is not None else ""

    async def declassify(self, call_id: str, by: Principal, why: str) -> dict[str, Any]:
        """Let through what `call_id` had withheld, when it is asked for again in its session.

        Raises `Denied` (`not_an_approver`) for who may not, `Rejected` where nothing was withheld.
        """
        if not self._people.is_present(by) or ROLE not in self._people.voter(by.user).roles:
            raise Denied(
                f"{by.user} can not declassify",
                code=ReasonCode.NOT_AN_APPROVER,
                remedy=f"whoever has the role `{ROLE}` in toolward.yaml can",
            )
        record = answer_of(self._store, call_id)
        said = orjson.loads(record.body) if record is not None else {}
        if "withheld" not in said:
            raise Rejected(
                f"nothing was withheld of `{call_id[:100]}`",
                remedy="name a call whose receipt says `withheld`",
            )
        asked = said if "version" in said else self._intent(call_id)
        key = _key(said["session_id"], asked["version"], asked["args_digest"])
        event = self._auditor.event(
            EventKind.DECLASSIFIED,
            session_id=said["session_id"],
            tool=said["tool"],
            body={"by": by.as_json(), "call": call_id, "withheld": said["withheld"], "why": why},
        )
        row = {"by": by.user, "at_ns": str(self._clock.now_ns()), "call": call_id}
        await self._store.commit([event], [Put(Table.DECLASSIFIED, key, canonical(row))])
        return {"session": said["session_id"], "tool": said["tool"], "withheld": said["withheld"]}

    def _intent(self, call_id: str) -> dict[str, Any]:
        found = self._store.find(kind=EventKind.CALL_INTENT.value, call_id=call_id, limit=1)
        return dict(orjson.loads(found[0].body)) if found else {"version": "", "args_digest": ""}


def _key(session_id: str, version: str, args_digest: str) -> str:
    return f"{session_id}/{version}/{args_digest}"
