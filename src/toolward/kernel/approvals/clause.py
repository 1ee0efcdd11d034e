"""What lifted a forbid is used up in the very commit that makes the intent durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from typing_extensions import override

from toolward.errors import Contested
from toolward.kernel.approvals.bell import Bell
from toolward.kernel.approvals.grants import Grants
from toolward.kernel.approvals.ground import Ground, put_approval, put_named
from toolward.kernel.approvals.watch import Watch
from toolward.kernel.clauses import NO_PROMISE, Clause, Promise
from toolward.kernel.revision import ActiveRevision
from toolward.model.approval import Approval, ApprovalState
from toolward.model.call import Failed, RawOutcome, Reply
from toolward.model.permit import Permit
from toolward.ports.store import Change


@dataclass(slots=True)
class _Held:
    """What one call holds from its promise to its outcome."""

    approvals: list[Approval] = field(default_factory=list)
    uses: list[tuple[str, int]] = field(default_factory=list)
    given_back: list[Approval] = field(default_factory=list)


class ApprovalClause(Clause):
    """Counts the votes once more, takes a permit's approvals and grants, closes them with the outcome."""

    def __init__(self, ground: Ground, grants: Grants, watch: Watch, bell: Bell) -> None:
        self._ground = ground
        self._grants = grants
        self._watch = watch
        self._bell = bell
        self._held: dict[str, _Held] = {}

    @override
    def binds(self, permit: Permit) -> bool:
        return bool(permit.approvals)

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        """Raises `Contested` when something that lifted does not stand any more: it is decided again."""
        del revision
        if not permit.approvals:
            return NO_PROMISE
        call_id = permit.labelled.call.call_id
        held = self._held[call_id] = _Held()
        changes: list[Change] = []
        agreed: list[str] = []
        for lifting in permit.approvals:
            found = self._ground.find(lifting)
            if found is None:
                changes.append(self._use(lifting, call_id, held))
                continue
            approval = found.approval
            if self._ground.state(approval) is not ApprovalState.APPROVED:
                raise _gone(lifting)
            used = replace(
                approval, state=ApprovalState.USED, used_by=call_id, used_ms=self._ground.now_ms(), ended_ms=0
            )
            held.approvals.append(used)
            changes.append(put_approval(used, expect=found.version))
            changes.append(put_named(used.subject, used, expect=None))
            agreed += [voter.user for voter in self._ground.voters(approval)]
            if approval.glass is not None:
                agreed.append(approval.glass.by)
        for used in held.approvals:
            self._watch.used(used)
        body = {"approvals": list(permit.approvals), "approved_by": sorted(set(agreed))}
        return Promise(changes=tuple(changes), body=body)

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        """What surely had no effect does not use an approval up; a grant's count stays as it is."""
        held = self._held.get(permit.labelled.call.call_id)
        if held is None:
            return ()
        changed = [replace(each, ended_ms=self._ground.now_ms()) for each in held.approvals]
        if isinstance(outcome, Failed) and not outcome.from_server:
            changed = held.given_back = [
                replace(each, state=ApprovalState.PENDING, used_by="", used_ms=0, tried=True)
                for each in held.approvals
            ]
        return [put_approval(each, expect=None) for each in changed]

    @override
    def concluded(self, permit: Permit, reply: Reply) -> None:
        held = self._held.pop(permit.labelled.call.call_id, None)
        if held is None:
            return
        for approval in held.given_back:
            self._watch.opened(approval)
        returned = {each.approval_id for each in held.given_back}
        for approval in held.approvals:
            if approval.approval_id not in returned:
                self._watch.closed(approval.approval_id)
            self._bell.ring(approval.approval_id)

    @override
    def lapsed(self, permit: Permit) -> None:
        held = self._held.pop(permit.labelled.call.call_id, None)
        for grant_id, number in held.uses if held is not None else ():
            self._grants.give_back(grant_id, number)

    def _use(self, grant_id: str, call_id: str, held: _Held) -> Change:
        used = self._grants.use(grant_id, call_id)
        if used is None:
            raise _gone(grant_id)
        held.uses.append((grant_id, used[1]))
        return used[0]


def _gone(lifting: str) -> Contested:
    return Contested(f"`{lifting}` does not stand any more", remedy="try again")
