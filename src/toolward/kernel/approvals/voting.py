"""A person answers: agrees, refuses, breaks the glass, or looks at a broken glass afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from toolward.errors import Contested, Denied, ReasonCode
from toolward.kernel.approvals.bell import Bell
from toolward.kernel.approvals.ground import TRIES_MAX, Ground, put_approval, put_named
from toolward.kernel.approvals.watch import Watch
from toolward.kernel.incidents import Incidents
from toolward.model.approval import BREAK_GLASS_ROLE, Approval, ApprovalState, Verdict, Vote, Voter
from toolward.model.decision import ApprovalNeed
from toolward.model.event import Event, EventKind
from toolward.model.incident import IncidentKind
from toolward.model.principal import Principal
from toolward.ports.store import Change, Conflict
from toolward.rules.approval import may_answer

NOTE_CHARS_MAX = 2_000
"""Of what a person says to an answer."""


class Voting:
    """Every answer is on record, the refused ones too."""

    def __init__(
        self,
        ground: Ground,
        watch: Watch,
        bell: Bell,
        incidents: Incidents,
        resume: Callable[[Approval], None],
    ) -> None:
        """`resume` starts the frozen call of an approval that says it runs at once."""
        self._ground = ground
        self._watch = watch
        self._bell = bell
        self._incidents = incidents
        self._resume = resume

    async def approve(self, approval_id: str, by: Principal, note: str = "") -> Approval:
        """Agree. Raises `Denied` with `not_an_approver` or `not_pending`."""
        return await self._vote(approval_id, by, Verdict.APPROVE, note)

    async def refuse(self, approval_id: str, by: Principal, note: str = "") -> Approval:
        """Say no, for all: the call is refused until the question would have expired. Raises as `approve`."""
        return await self._vote(approval_id, by, Verdict.REFUSE, note)

    async def break_glass(self, approval_id: str, by: Principal, reason: str) -> Approval:
        """Lift it alone, whatever the quorum; an incident stays open until another person reviewed it.

        Raises `Denied` with `not_an_approver` without the role or a reason, or `not_pending`.
        """
        return await self._vote(approval_id, by, Verdict.BREAK_GLASS, reason)

    async def review(self, approval_id: str, by: Principal, note: str) -> Approval:
        """Close the incident of a broken glass. Raises `Denied` for who broke it, and where there is none."""
        approval = self._ground.found(approval_id).approval
        glass = approval.glass
        if glass is None:
            raise _denied(ReasonCode.NOT_PENDING, "nobody broke the glass for this approval")
        if by.user == glass.by or not self._ground.people.is_present(by):
            raise _denied(
                ReasonCode.NOT_AN_APPROVER, "it takes another person, with a credential of the ward"
            )
        closing = self._incidents.restore(IncidentKind.BROKEN_GLASS, approval_id)
        if not closing:
            raise _denied(ReasonCode.NOT_PENDING, "it was reviewed already")
        said = {"by": by.as_json(), "note": note[:NOTE_CHARS_MAX]}
        events = [replace(event, body={**event.body, **said}) for event, _ in closing]
        await self._ground.store.commit(events, [put for _, put in closing])
        return approval

    async def _vote(self, approval_id: str, by: Principal, verdict: Verdict, note: str) -> Approval:
        for _ in range(TRIES_MAX):
            found = self._ground.found(approval_id)
            approval = found.approval
            try:
                role = self._role_of(approval, by, verdict, note)
            except Denied as refusal:
                event = self._voted(
                    approval, by, verdict, {"counted": False, "code": refusal.reason.code.value}
                )
                await self._ground.store.commit([event])
                raise
            vote = Vote(
                by=by.user,
                credential=by.credential,
                role=role,
                verdict=verdict,
                at_ms=self._ground.now_ms(),
                note=note[:NOTE_CHARS_MAX],
            )
            changed = self._with(approval, vote)
            state = self._ground.state(changed)
            said = {"counted": True, "role": role, "note": vote.note, "state": state.value}
            events = [self._voted(approval, by, verdict, said)]
            changes: list[Change] = [put_approval(changed, expect=found.version)]
            if verdict is Verdict.REFUSE:
                changes.append(put_named(approval.plea, changed, expect=None))
            if verdict is Verdict.BREAK_GLASS:
                opened, put = self._incidents.open(
                    IncidentKind.BROKEN_GLASS,
                    approval_id,
                    f"{by.user} broke the glass: {vote.note}",
                    contained=False,
                )
                events.append(opened)
                changes.append(put)
            try:
                await self._ground.store.commit(events, changes)
            except Conflict:
                continue
            self._announce(changed, state)
            return changed
        raise Contested("others answered at this moment", remedy="try again")

    def _role_of(self, approval: Approval, by: Principal, verdict: Verdict, note: str) -> str:
        """In which role the answer counts. Raises `Denied`."""
        if not self._ground.people.is_present(by):
            raise _denied(
                ReasonCode.NOT_AN_APPROVER, "only a person with a credential of the ward can answer"
            )
        voter = self._ground.people.voter(by.user)
        if verdict is Verdict.BREAK_GLASS:
            role = self._glass_role(voter, note)
        else:
            # four eyes guard what happens, not what does not
            need = _without_four_eyes(approval.need) if verdict is Verdict.REFUSE else approval.need
            role = may_answer(need, voter, asker=approval.asker, stand_ins=self._ground.stand_ins(approval))
        if not role:
            raise _denied(ReasonCode.NOT_AN_APPROVER, _why_not(approval, by.user))
        state = self._ground.state(approval)
        in_time = verdict is Verdict.REFUSE and state is ApprovalState.APPROVED  # it did not run yet
        if state is not ApprovalState.PENDING and not in_time:
            raise _denied(ReasonCode.NOT_PENDING, f"this approval is {state.value}")
        if verdict is Verdict.APPROVE and any(each.user == by.user for each in self._ground.voters(approval)):
            raise _denied(ReasonCode.NOT_PENDING, f"{by.user} has agreed already, and counts once")
        return role

    @staticmethod
    def _glass_role(voter: Voter, reason: str) -> str:
        if BREAK_GLASS_ROLE not in voter.roles:
            raise _denied(
                ReasonCode.NOT_AN_APPROVER, f"{voter.user} does not have the role {BREAK_GLASS_ROLE}"
            )
        if not reason.strip():
            raise _denied(ReasonCode.NOT_AN_APPROVER, "breaking the glass needs a reason")
        return BREAK_GLASS_ROLE

    @staticmethod
    def _with(approval: Approval, vote: Vote) -> Approval:
        """The approval after the vote. A person's vote that no longer counted gives way to the new one."""
        if vote.verdict is Verdict.BREAK_GLASS:
            return replace(approval, glass=vote)
        others = tuple(each for each in approval.votes if each.by != vote.by)
        if vote.verdict is Verdict.REFUSE:
            return replace(approval, votes=(*others, vote), state=ApprovalState.REFUSED, ended_ms=vote.at_ms)
        return replace(approval, votes=(*others, vote))

    def _announce(self, approval: Approval, state: ApprovalState) -> None:
        if state is ApprovalState.PENDING:
            return
        if state is ApprovalState.REFUSED:
            self._watch.closed(approval.approval_id)
        self._bell.ring(approval.approval_id)
        if state is ApprovalState.APPROVED and approval.need.at_once and approval.frozen:
            self._resume(approval)

    def _voted(self, approval: Approval, by: Principal, verdict: Verdict, said: dict[str, Any]) -> Event:
        kind = EventKind.BREAK_GLASS if verdict is Verdict.BREAK_GLASS else EventKind.APPROVAL_VOTED
        return self._ground.auditor.event(
            kind,
            call_id=approval.call_id,
            session_id=str(approval.call["session_id"]),
            tool=approval.tool,
            body={
                "approval": approval.approval_id,
                "by": by.as_json(),
                "verdict": verdict.value,
                "policies": list(approval.need.policies),
                **said,
            },
        )


def _denied(code: ReasonCode, text: str) -> Denied:
    return Denied(text, code=code, remedy="see `toolward approvals list`")


def _why_not(approval: Approval, user: str) -> str:
    if approval.need.four_eyes and user == approval.asker:
        return "who asked can not agree: another person has to (four eyes)"
    wanted = ", ".join([*approval.need.roles, *approval.stand_ins])
    return f"{user} is not one of those who can answer this: {wanted}"


def _without_four_eyes(need: ApprovalNeed) -> ApprovalNeed:
    parts = tuple(dataclasses.replace(part, four_eyes=False) for part in need.parts)
    return dataclasses.replace(need, four_eyes=False, parts=parts)
