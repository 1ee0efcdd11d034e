"""Standing grants: one person's answer to calls that are alike, so often, for so long, and to nothing else.

Each use is a row of its own, written with the intent where no row may stand yet. So the count holds however
many calls run at once, and the rows say which calls used the grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import orjson
from msgspec.structs import replace

from toolward.config.limits import GRANT_EXPIRES_MAX_S, GRANT_USES_MAX
from toolward.errors import Denied, ReasonCode, Rejected
from toolward.kernel.approvals.asking import iso
from toolward.kernel.approvals.ground import Ground
from toolward.model.approval import Approval, Grant
from toolward.model.call import LabelledCall
from toolward.model.decision import ApprovalNeed
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.ports.store import Put, Table
from toolward.rules.approval import is_satisfied
from toolward.rules.canonical import canonical
from toolward.rules.grant import breadth, covers

_USE: Final = "/"
"""Between a grant's key and the number of a use."""


class Grants:
    """Made by who could have approved; counted again, as votes are, each time one is used."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._of_tool: dict[str, list[str]] | None = None
        self._taken: dict[str, set[int]] = {}  # uses that are on record or on their way there

    # --- people -----------------------------------------------------------------------------------

    async def make(self, grant: Grant, by: Principal) -> Grant:
        """Put a grant in force. Raises `Rejected` for bounds that are none, `Denied` (`not_an_approver`)."""
        self._check_bounds(grant)
        if not self._ground.people.is_present(by) or not self._may(grant):
            raise Denied(
                f"{by.user} could not approve such calls alone, so can not grant them",
                code=ReasonCode.NOT_AN_APPROVER,
                remedy="have somebody with the role make it; a rule with a quorum takes votes each time",
            )
        event = self._ground.auditor.event(
            EventKind.GRANT_MADE,
            session_id=grant.session_id,
            tool=grant.tool,
            body={"by": by.as_json(), "grant": grant.grant_id, **_record(grant)},
            payloads={"arguments": canonical(msgspec.to_builtins(grant.arguments))},
        )
        index = self._index()
        await self._ground.store.commit([event], [_put(grant, expect=0)])
        index.setdefault(grant.tool, []).append(grant.grant_id)
        return grant

    async def end(self, grant_id: str, by: Principal) -> Grant:
        """Take a grant back at once. Raises `Rejected` if there is none, `Denied` without a credential."""
        row = self._ground.store.get(Table.GRANT, grant_id)
        if row is None or _USE in grant_id:
            raise Rejected(f"no grant `{grant_id[:100]}`", remedy="see `toolward grants list`")
        if not self._ground.people.is_present(by):
            raise Denied("only a person with a credential of the ward can", code=ReasonCode.NOT_AN_APPROVER)
        grant = _from_json(row.body)
        changed = replace(grant, ended_ms=grant.ended_ms or self._ground.now_ms())
        event = self._ground.auditor.event(
            EventKind.GRANT_ENDED,
            session_id=grant.session_id,
            tool=grant.tool,
            body={"by": by.as_json(), "grant": grant_id, "used": len(self._used(grant_id))},
        )
        await self._ground.store.commit([event], [_put(changed, expect=None)])
        return changed

    def every(self) -> Iterator[tuple[Grant, int]]:
        """All grants with the number of uses, oldest first."""
        for grant_id in sorted(each for of_tool in self._index().values() for each in of_tool):
            row = self._ground.store.get(Table.GRANT, grant_id)
            if row is not None:
                yield _from_json(row.body), len(self._used(grant_id))

    # --- calls ------------------------------------------------------------------------------------

    def lifting(self, labelled: LabelledCall, need: ApprovalNeed) -> dict[str, frozenset[str]]:
        """Grants that cover the call, each with what it lifts of `need`: narrow ones, as few as do it."""
        missing, found = {part.policies[0]: part.digest for part in need.parts}, dict[str, frozenset[str]]()
        version = labelled.resolved.version
        for grant in self._of(version.key) if version is not None else ():
            lifts = frozenset(
                part.policies[0] for part in grant.parts if missing.get(part.policies[0]) == part.digest
            )
            if lifts and self._stands(grant) and self._free(grant) is not None and covers(grant, labelled):
                found[grant.grant_id] = lifts
                missing = {policy: digest for policy, digest in missing.items() if policy not in lifts}
        return found

    def _of(self, tool: str) -> list[Grant]:
        """The grants of a tool, the narrowest first, so that a wide one is left for what only it covers."""
        rows = (self._ground.store.get(Table.GRANT, grant_id) for grant_id in self._index().get(tool, ()))
        return sorted((_from_json(row.body) for row in rows if row is not None), key=breadth)

    def use(self, grant_id: str, call_id: str) -> tuple[Put, int] | None:
        """The write that uses the grant up by one, and its number; None if it does not stand any more."""
        row = self._ground.store.get(Table.GRANT, grant_id)
        grant = _from_json(row.body) if row else None
        if row is None or grant is None or not self._stands(grant) or (number := self._free(grant)) is None:
            return None
        self._used(grant_id).add(number)
        body = canonical({"call_id": call_id, "at_ms": self._ground.now_ms()})
        return Put(Table.GRANT, f"{grant_id}{_USE}{number:06d}", body, expect=0), number

    def give_back(self, grant_id: str, number: int) -> None:
        """The intent was not made: that use is free again, unless the store has it."""
        self._used(grant_id).discard(number)

    def forget(self, before_ms: int) -> list[list[str]]:
        """Grants whose time was over by then, which are looked at no more; of each the keys of its rows."""
        over = [grant for grant, _ in self.every() if grant.expires_ms < before_ms]
        for grant in over:
            self._index()[grant.tool].remove(grant.grant_id)
            _ = self._taken.pop(grant.grant_id, None)
        return [
            [each.grant_id, *(use.key for use in self._ground.store.scan(Table.GRANT, each.grant_id + _USE))]
            for each in over
        ]

    def _index(self) -> dict[str, list[str]]:
        """Tool -> its grants. What a grant says is read from the store each time."""
        if self._of_tool is None:
            self._of_tool = {}
            for row in self._ground.store.scan(Table.GRANT):
                grant_id, _, number = row.key.partition(_USE)
                if number:
                    self._used(grant_id).add(int(number))
                else:
                    self._of_tool.setdefault(_from_json(row.body).tool, []).append(grant_id)
        return self._of_tool

    def _used(self, grant_id: str) -> set[int]:
        return self._taken.setdefault(grant_id, set())

    def _free(self, grant: Grant) -> int | None:
        """A use that nobody has taken."""
        taken = self._used(grant.grant_id)
        if (following := len(taken)) < grant.uses and following not in taken:
            return following
        return next((number for number in range(grant.uses) if number not in taken), None)

    def _stands(self, grant: Grant) -> bool:
        """Whether it is in force and its maker still could have approved."""
        return (
            not grant.ended_ms
            and self._ground.now_ms() < grant.expires_ms
            and self._ground.people.has_credential(grant.by, grant.credential)
            and self._may(grant)
        )

    def _may(self, grant: Grant) -> bool:
        """Whether its maker, alone, is enough for each forbid that it lifts."""
        maker = [self._ground.people.voter(grant.by)]
        return bool(grant.parts) and all(is_satisfied(part, maker, asker=grant.user) for part in grant.parts)

    def _check_bounds(self, grant: Grant) -> None:
        if not 1 <= grant.uses <= GRANT_USES_MAX:
            raise Rejected(f"a grant is for 1 to {GRANT_USES_MAX} calls")
        if not 0 < grant.expires_ms - grant.made_ms <= GRANT_EXPIRES_MAX_S * 1000:
            raise Rejected(f"a grant stands for 1 to {GRANT_EXPIRES_MAX_S} seconds")
        if not grant.user or not grant.agent or "/" not in grant.tool:
            raise Rejected("a grant names a user, an agent and a tool as server/name")
        if any(not pointer.startswith("/") for pointer in grant.arguments):
            raise Rejected("arguments are named by JSON pointers like `/path`")


def grant_like(approval: Approval, by: Principal, **bounds: Any) -> Grant:
    """A grant for calls like the one that was asked about; `bounds` are what it does not give."""
    principal = approval.call["principal"]
    return Grant(
        by=by.user,
        credential=by.credential,
        user=principal["user"],
        agent=principal["agent"],
        tool=approval.tool,
        version=approval.version,
        parts=approval.need.parts,
        approval_id=approval.approval_id,
        **bounds,
    )


def grant_to_json(grant: Grant, used: int, *, now_ms: int) -> dict[str, Any]:
    """As people see it."""
    state = "ended" if grant.ended_ms else "expired" if now_ms >= grant.expires_ms else "standing"
    if state == "standing" and used >= grant.uses:
        state = "used"
    return {
        "grant": grant.grant_id,
        "state": state,
        "tool": grant.tool,
        **_record(grant),
        "used": used,
        "made_at": iso(grant.made_ms),
        "by": grant.by,
        "arguments": {
            pointer: {"under": each.under}
            if each.under
            else {"anything": True}
            if each.anything
            else {"equals": each.equals}
            for pointer, each in grant.arguments.items()
        },
    }


def _record(grant: Grant) -> dict[str, Any]:
    return {
        "session": grant.session_id,
        "who": {"user": grant.user, "agent": grant.agent},
        "policies": [part.policies[0] for part in grant.parts],
        "uses": grant.uses,
        "expires_at": iso(grant.expires_ms),
        "note": grant.note,
        "approval": grant.approval_id,
    }


def _put(grant: Grant, *, expect: int | None) -> Put:
    return Put(Table.GRANT, grant.grant_id, canonical(msgspec.to_builtins(grant)), expect=expect)


def _from_json(body: bytes) -> Grant:
    return msgspec.convert(orjson.loads(body), Grant)
