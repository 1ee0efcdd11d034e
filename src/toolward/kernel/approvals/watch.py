"""Time passes for questions: they expire, those who were asked are reminded, others are asked as well.

There is one heap and one look at its nearest entry, however many questions wait. Nothing depends on that look
for safety: whoever reads an approval sees at once that its time is over.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from toolward.config.limits import (
    APPROVALS_PENDING_BYTES_MAX,
    APPROVALS_PENDING_CREDENTIAL_MAX,
    APPROVALS_PENDING_EACH_MAX,
)
from toolward.errors import Overloaded, ToolwardError
from toolward.kernel.approvals.bell import Bell
from toolward.kernel.approvals.ground import KEPT_MS, Found, Ground, put_approval
from toolward.model.approval import Approval, ApprovalState
from toolward.model.event import Event, EventKind
from toolward.ports.store import Conflict

TICK_S: Final = 1.0
"""How late a reminder may be."""
_SOON_MS: Final = 1_000
_RUNS_MS: Final = 24 * 3600 * 1000
"""No call runs longer: until its end is known, its retries are looked for so long."""
_KEPT_SESSIONS_MAX: Final = 10_000
"""Past this the sessions whose results were let go are forgotten."""


class Watch:
    """Knows which questions are open, of whom, and which is due next."""

    def __init__(self, ground: Ground, bell: Bell) -> None:
        self._ground = ground
        self._bell = bell
        self._open: dict[str, Approval] = {}
        self._subjects: dict[str, str] = {}
        self._of: Counter[tuple[str, str]] = Counter()  # open questions by session and by credential
        self._bytes: Counter[str] = Counter()  # of their arguments, by credential
        self._due: list[tuple[int, str]] = []
        self._kept_until: dict[str, int] = {}  # session -> until when results of approved calls are kept

    def load(self) -> list[Approval]:
        """Take up what an earlier process left; returns the open ones."""
        for approval in self._ground.every():
            if approval.state is ApprovalState.PENDING:
                self.opened(approval)
            elif approval.state is ApprovalState.USED:
                self.used(approval)
        return list(self._open.values())

    def opened(self, approval: Approval) -> None:
        """A question was asked, or has changed."""
        known = self._open.get(approval.approval_id)
        if known is None:
            self._of.update(_whose(approval))
            self._bytes[_credential(approval)] += approval.size_bytes
        self._open[approval.approval_id] = approval
        self._subjects[approval.subject] = approval.approval_id
        self._look_again(approval.approval_id, self._next_due_ms(approval))

    def closed(self, approval_id: str) -> None:
        """It is open no more. Its place in the heap goes when its time comes."""
        approval = self._open.pop(approval_id, None)
        if approval is None:
            return
        if self._subjects.get(approval.subject) == approval_id:
            del self._subjects[approval.subject]
        for whose in _whose(approval):
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]
        credential = _credential(approval)
        self._bytes[credential] -= approval.size_bytes
        if self._bytes[credential] <= 0:
            del self._bytes[credential]

    def used(self, approval: Approval) -> None:
        """An approved call runs, or has ended: for a while its result is kept for the session's retries."""
        session = str(approval.call["session_id"])
        until = (approval.ended_ms or approval.used_ms + _RUNS_MS) + KEPT_MS
        self._kept_until[session] = max(until, self._kept_until.get(session, 0))
        if len(self._kept_until) > _KEPT_SESSIONS_MAX:
            now = self._ground.now_ms()
            self._kept_until = {each: end for each, end in self._kept_until.items() if end > now}

    def may_have_run(self, session_id: str) -> bool:
        """Whether results of approved calls are kept for this session; others cost no look at the store."""
        return self._kept_until.get(session_id, 0) > self._ground.now_ms()

    def count(self) -> int:
        """How many questions are open, those included that the agent only has to make good use of."""
        return len(self._open)

    def newest(self, before: str = "") -> list[Approval]:
        """The open questions, newest first; with `before`, those asked before that one."""
        found = [each for each in self._open.values() if not before or each.approval_id < before]
        return sorted(found, key=lambda each: each.approval_id, reverse=True)

    def open_about(self, subject: str) -> str:
        """The open question about the same call, "" if there is none."""
        return self._subjects.get(subject, "")

    def check_room(self, approval: Approval) -> None:
        """Raises `Overloaded` where one caller has too many questions open: people are no queue to flood."""
        session, credential = _whose(approval)
        if self._bytes[_credential(approval)] + approval.size_bytes > APPROVALS_PENDING_BYTES_MAX:
            raise Overloaded(
                f"questions of this credential that wait hold {APPROVALS_PENDING_BYTES_MAX} bytes already",
                remedy="wait until some are answered, or send less in one call",
            )
        for whose, limit in (
            (session, APPROVALS_PENDING_EACH_MAX),
            (credential, APPROVALS_PENDING_CREDENTIAL_MAX),
        ):
            if self._of[whose] >= limit:
                raise Overloaded(
                    f"{limit} questions of this {whose[0]} wait for people already",
                    remedy="wait until some are answered",
                )

    async def run(self, report: Callable[[ToolwardError], None]) -> None:
        """Look once a second, for as long as the task lives; the same trouble is reported once."""
        told = ""
        while True:
            try:
                await self.tick()
                told = ""
            except ToolwardError as error:
                if error.diagnostics() != told:
                    told = error.diagnostics()
                    report(error)
            await asyncio.sleep(TICK_S)

    async def tick(self) -> int:
        """Do what is due by the clock; returns how many questions were due."""
        count, now = 0, self._ground.now_ms()
        while self._due and self._due[0][0] <= now:
            _, approval_id = heapq.heappop(self._due)
            found = self._ground.find(approval_id) if approval_id in self._open else None
            if found is None:
                continue
            count += 1
            await self._attend(found, now)
        return count

    async def _attend(self, found: Found, now: int) -> None:
        approval = found.approval
        if approval.state is not ApprovalState.PENDING:
            self.closed(approval.approval_id)
            return
        event: Event | None
        if now >= approval.expires_ms:
            changed = replace(approval, state=ApprovalState.EXPIRED, ended_ms=now)
            event = ended(self._ground, approval, "expired")
        else:
            changed, event = self._reminded(approval, now)
        if event is None:  # the votes are in: it is the agent's turn, until the end
            self._look_again(approval.approval_id, approval.expires_ms)
            return
        self._look_again(approval.approval_id, now + _SOON_MS)  # also if the log refuses this record
        try:
            await self._ground.store.commit([event], [put_approval(changed, expect=found.version)])
        except Conflict:  # somebody answered at this moment
            return
        if changed.state is ApprovalState.PENDING:
            self.opened(changed)
        else:
            self.closed(changed.approval_id)
            self._bell.ring(changed.approval_id)

    def _reminded(self, approval: Approval, now: int) -> tuple[Approval, Event | None]:
        """The question after a reminder or an escalation, whichever is due."""
        if self._ground.is_lifted(approval):
            return approval, None
        settings, waited_ms = self._ground.settings(), now - approval.asked_ms
        escalates = (
            bool(settings.escalate_to)
            and not approval.stand_ins
            and 0 < settings.escalate_after_s * 1000 <= waited_ms
        )
        due = settings.remind_after_s * 1000
        reminds = due > 0 and waited_ms >= due * (approval.reminders + 1)
        if not escalates and not reminds:
            return approval, None
        changed = replace(
            approval,
            reminders=waited_ms // due if reminds else approval.reminders,
            stand_ins=settings.escalate_to if escalates else approval.stand_ins,
        )
        event = self._ground.auditor.event(
            EventKind.APPROVAL_REMINDED,
            call_id=approval.call_id,
            session_id=str(approval.call["session_id"]),
            tool=approval.tool,
            body={
                "approval": approval.approval_id,
                "roles": [*approval.need.roles, *changed.stand_ins],
                "escalated": escalates,
                "waited_s": waited_ms // 1000,
            },
        )
        return changed, event

    def _look_again(self, approval_id: str, due_ms: int) -> None:
        heapq.heappush(self._due, (due_ms, approval_id))

    def _next_due_ms(self, approval: Approval) -> int:
        settings = self._ground.settings()
        times = [approval.expires_ms]
        if settings.remind_after_s:
            times.append(approval.asked_ms + settings.remind_after_s * 1000 * (approval.reminders + 1))
        if settings.escalate_after_s and settings.escalate_to and not approval.stand_ins:
            times.append(approval.asked_ms + settings.escalate_after_s * 1000)
        return min(times)


def _whose(approval: Approval) -> tuple[tuple[str, str], tuple[str, str]]:
    return (("session", str(approval.call["session_id"])), ("credential", _credential(approval)))


def _credential(approval: Approval) -> str:
    return str(approval.call["principal"]["credential"])


def ended(ground: Ground, approval: Approval, why: str) -> Event:
    """The record that a question is over without an answer that counts."""
    return ground.auditor.event(
        EventKind.APPROVAL_ENDED,
        call_id=approval.call_id,
        session_id=str(approval.call["session_id"]),
        tool=approval.tool,
        body={"approval": approval.approval_id, "why": why},
    )
