"""The question to people: found again by what it is bound to, asked once, answered or still open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import orjson
from msgspec.structs import replace

from toolward.errors import AuditUnavailable, Contested, Denied, Pending, ReasonCode, ToolFailed
from toolward.kernel.approvals.bell import Bell
from toolward.kernel.approvals.ground import KEPT_MS, TRIES_MAX, Found, Ground, put_approval, put_named
from toolward.kernel.approvals.watch import Watch, ended
from toolward.kernel.replay import Answered, Replay
from toolward.kernel.suspended import suspended_to_json
from toolward.model.approval import Approval, ApprovalState, Verdict
from toolward.model.call import Action, LabelledCall
from toolward.model.decision import Ask
from toolward.model.event import Event, EventKind
from toolward.model.lineage import Leaf
from toolward.ports.store import Change, Conflict, Row, Table
from toolward.rules.approval import plea_of, question_of, subject_of
from toolward.rules.canonical import canonical

LINEAGE_MAX: Final = 300
"""Values of one question whose origin is kept: as many as the page shows."""
_LOOK_S: Final = 1.0
"""Whoever waits for an execution looks this often whether its record can still be written."""


class Asking:
    """Answers an Ask: an approval that lifts it, or why the call has to wait or is refused."""

    def __init__(self, ground: Ground, watch: Watch, bell: Bell, replay: Replay) -> None:
        self._ground = ground
        self._watch = watch
        self._bell = bell
        self._replay = replay

    async def answer(self, labelled: LabelledCall, ask: Ask) -> Approval:
        """The approval of exactly this call, if enough persons agreed and none of it was used.

        Raises `Pending` after the question is on record, `Denied` when it was refused, and `Answered` with
        the kept reply when the call ran already.
        """
        subject = subject_of(labelled, retry_digest=self._retry_digest(labelled))
        question = question_of(subject, labelled, policy_digest=ask.policy_digest)
        for _ in range(TRIES_MAX):
            await self._hand_out_again(labelled, subject)
            found, row = self._named_by(question)
            if found is None or self._is_over(found.approval):
                approval = self._question(labelled, ask, subject=subject, question=question)
                self._check_not_refused(approval.plea)
                if await self._ask(approval, labelled, over=found, expect=row.version if row else 0):
                    raise pending(approval)
                continue
            match self._ground.state(found.approval):
                case ApprovalState.APPROVED:
                    return found.approval
                case ApprovalState.REFUSED:
                    raise _refused(found.approval)
                case ApprovalState.PENDING:
                    raise pending(found.approval)
                case _:  # somebody used it at this moment
                    continue
        raise Contested("others asked and answered the same at this moment", remedy="try again")

    def _check_not_refused(self, plea: str) -> None:
        """People who said no are not asked the same under another idempotency key. Raises `Denied`."""
        found, _ = self._named_by(plea)
        if found is not None and not self._is_over(found.approval):
            raise _refused(found.approval)

    def _named_by(self, digest: str) -> tuple[Found | None, Row | None]:
        """The approval of a question, or the last that was used for a call or refused; and its row."""
        row = self._ground.store.get(Table.QUESTION, digest)
        return (self._ground.find(orjson.loads(row.body)["approval"]) if row else None), row

    def _is_over(self, approval: Approval) -> bool:
        """Whether the answer has no more force, so that the same call is a new question."""
        now = self._ground.now_ms()
        match self._ground.state(approval):
            case ApprovalState.EXPIRED | ApprovalState.ENDED:
                return True
            case ApprovalState.REFUSED:
                return now >= approval.expires_ms
            case ApprovalState.USED:
                since = approval.ended_ms or approval.used_ms
                return now >= since + KEPT_MS and not self._runs(approval)
            case _:
                return False

    async def _ask(
        self, approval: Approval, labelled: LabelledCall, *, over: Found | None, expect: int
    ) -> bool:
        """Ask in one commit: record, approval, question. False if somebody asked the same first."""
        self._watch.check_room(approval)
        events = [self._asked(approval, labelled)]
        changes: list[Change] = [
            put_approval(approval, expect=0),
            put_named(approval.question, approval, expect=expect),
        ]
        earlier = [over] if over is not None else []
        moot = self._watch.open_about(approval.subject)
        if (
            moot
            and (found := self._ground.find(moot)) is not None
            and found.approval.question != approval.question
        ):
            earlier.append(found)
        closed: list[str] = []
        for each in earlier:
            if each.approval.state is not ApprovalState.PENDING:
                continue
            expired = self._ground.state(each.approval) is ApprovalState.EXPIRED
            state = ApprovalState.EXPIRED if expired else ApprovalState.ENDED
            changed = replace(each.approval, state=state, ended_ms=self._ground.now_ms())
            events.append(ended(self._ground, each.approval, "expired" if expired else "another question"))
            changes.append(put_approval(changed, expect=each.version))
            closed.append(each.approval.approval_id)
        try:
            await self._ground.store.commit(events, changes)
        except Conflict:
            return False
        for approval_id in closed:
            self._watch.closed(approval_id)
            self._bell.ring(approval_id)
        self._watch.opened(approval)
        return True

    def _question(self, labelled: LabelledCall, ask: Ask, *, subject: str, question: str) -> Approval:
        call, resolved = labelled.call, labelled.resolved
        now = self._ground.now_ms()
        return Approval(
            approval_id=self._ground.ids.new(),
            question=question,
            subject=subject,
            state=ApprovalState.PENDING,
            call=suspended_to_json(call),
            call_id=call.call_id,
            tool=resolved.version.key if resolved.version else resolved.server,
            version=resolved.version.digest if resolved.version else "",
            need=ask.need,
            reason=ask.reason.text,
            remedy=ask.reason.remedy,
            lineage=tuple(
                {
                    "pointer": leaf.pointer,
                    "label": leaf.label.as_json(),
                    "sources": [f"{source.kind.value} {source.reference}".strip() for source in leaf.sources],
                }
                for leaf in _worth_telling(labelled.leaves)
            ),
            frozen=call.action is Action.CALL_TOOL
            and not (call.retry or call.undo_of or call.idempotency_key),
            asked_ms=now,
            expires_ms=now + ask.need.expires_s * 1000,
            plea=plea_of(labelled, policy_digest=ask.policy_digest),
            size_bytes=len(call.arguments_json),
        )

    def _asked(self, approval: Approval, labelled: LabelledCall) -> Event:
        call = labelled.call
        return self._ground.auditor.event(
            EventKind.APPROVAL_ASKED,
            call_id=call.call_id,
            session_id=call.session.session_id,
            tool=approval.tool,
            body={
                "approval": approval.approval_id,
                "principal": call.session.principal.as_json(),
                "action": call.action.value,
                "target": call.target,
                "args_digest": call.args_digest,
                "version": approval.version,
                "policies": list(approval.need.policies),
                "need": need_to_json(approval),
                "expires": iso(approval.expires_ms),
            },
            payloads={"arguments": call.arguments_json},
            digests={"arguments": call.args_digest},
        )

    async def kept(self, labelled: LabelledCall) -> None:
        """Raises `Answered` if exactly this call ran by an approval a moment ago, whatever policies say now.

        What it did or answered may be why they say otherwise; and the caller, whose retry this is, has to
        learn that it happened.
        """
        if self._watch.may_have_run(labelled.call.session.session_id):
            subject = subject_of(labelled, retry_digest=self._retry_digest(labelled))
            await self._hand_out_again(labelled, subject)

    async def _hand_out_again(self, labelled: LabelledCall, subject: str) -> None:
        """Raises `Answered`; returns when it did not run, or what ran surely had no effect."""
        found, _ = self._named_by(subject)
        if found is None or found.approval.state is not ApprovalState.USED or self._is_over(found.approval):
            return
        while self._runs(found.approval):
            await self._bell.rung(found.approval.approval_id, _LOOK_S)
            if text := self._ground.store.healthy():
                raise AuditUnavailable(text, remedy="mend the disk and restart toolward")
        current = self._ground.found(found.approval.approval_id).approval
        if current.state is not ApprovalState.USED:
            return
        why = {"approval": current.approval_id}
        reply = await self._replay(labelled.call, current.used_by, by="approval", why=why)
        if reply is None:
            raise ToolFailed(
                "this call ran by its approval, and its result is gone",
                code=ReasonCode.UNKNOWN_OUTCOME,
                remedy="look at what is there before you try again",
                details=(("call_id", current.used_by),),
            )
        raise Answered(reply)

    def _runs(self, approval: Approval) -> bool:
        """Whether the execution it was used for has no outcome yet."""
        return any(each.call_id == approval.used_by for each in self._ground.store.open_calls())

    def _retry_digest(self, labelled: LabelledCall) -> str:
        retry = labelled.call.retry
        return self._ground.auditor.digest(canonical(retry)) if retry else ""


def _worth_telling(leaves: Sequence[Leaf]) -> Sequence[Leaf]:
    """All, or of very many the least trustworthy: a question is read by people, and kept until it is over."""
    if len(leaves) <= LINEAGE_MAX:
        return leaves
    return sorted(leaves, key=lambda leaf: -leaf.label.integrity)[:LINEAGE_MAX]


def pending(approval: Approval) -> Pending:
    """What the caller is told while people have not answered."""
    need = approval.need
    return Pending(
        approval.reason,
        remedy=f"{approval.remedy or 'have it approved'}, then make exactly this call again",
        details=(
            ("approval", approval.approval_id),
            ("expires", iso(approval.expires_ms)),
            ("roles", ", ".join([*need.roles, *approval.stand_ins])),
            ("quorum", str(need.quorum)),
            ("four_eyes", "yes" if need.four_eyes else "no"),
            ("policies", ", ".join(need.policies)),
        ),
    )


def need_to_json(approval: Approval) -> dict[str, object]:
    """Who has to agree, for people and for the record."""
    need = approval.need
    return {
        "roles": [*need.roles, *approval.stand_ins],
        "every_role": need.every_role,
        "quorum": need.quorum,
        "four_eyes": need.four_eyes,
    }


def iso(milliseconds: int) -> str:
    """UTC time as RFC 3339 has it, "" for what has not happened."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(approval: Approval) -> Denied:
    refusal = next((vote for vote in approval.votes if vote.verdict is Verdict.REFUSE), None)
    why = f": {refusal.note}" if refusal is not None and refusal.note else ""
    return Denied(
        f"a person refused this call{why}",
        code=ReasonCode.APPROVAL_REFUSED,
        remedy="do something else, or ask the person why",
        details=(("approval", approval.approval_id),),
    )
