"""What all of approvals stands on, and how an approval becomes a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from toolward.config.approving import ApprovalsConfig
from toolward.errors import Denied, ReasonCode
from toolward.kernel.approvals.people import People
from toolward.kernel.audit import Auditor
from toolward.model.approval import BREAK_GLASS_ROLE as GLASS
from toolward.model.approval import Approval, ApprovalState, Verdict, Voter
from toolward.model.event import EventKind
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Put, Store, Table
from toolward.rules.approval import is_satisfied, may_answer
from toolward.rules.canonical import canonical

KEPT_MS: Final = 15 * 60 * 1000
"""How long the result of an approved call is kept for the retry."""
TRIES_MAX: Final = 8
"""Each time somebody else got further; past this the caller is told."""
_PAGE: Final = 200
"""Approvals that are read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An approval as the store has it; `version` is for compare-and-swap."""

    approval: Approval
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Shared by every part of approvals."""

    store: Store
    auditor: Auditor
    ids: Ids
    clock: Clock
    people: People
    settings: Callable[[], ApprovalsConfig]

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return self.clock.now_ns() // 1_000_000

    def find(self, approval_id: str) -> Found | None:
        """The approval of that id. Raises `StoreUnavailable`."""
        row = self.store.get(Table.APPROVAL, approval_id)
        if row is None:
            return None
        return Found(approval=approval_from_json(row.body), version=row.version)

    def found(self, approval_id: str) -> Found:
        """As `find`. Raises `Denied` (`not_pending`) where there is none."""
        found = self.find(approval_id)
        if found is None:
            raise Denied(
                f"there is no approval `{approval_id[:100]}`",
                code=ReasonCode.NOT_PENDING,
                remedy="see `toolward approvals list`",
            )
        return found

    def every(self) -> Iterator[Approval]:
        """All approvals, oldest first."""
        for row in self.store.scan(Table.APPROVAL):
            yield approval_from_json(row.body)

    def newest(self, before: str = "") -> Iterator[Approval]:
        """All approvals, newest first, read as they are wanted; with `before`, those older than that."""
        while rows := self.store.newest(Table.APPROVAL, before=before, limit=_PAGE):
            yield from (approval_from_json(row.body) for row in rows)
            before = rows[-1].key

    def arguments(self, approval: Approval) -> bytes | None:
        """The frozen arguments, None if they were erased."""
        asked = self.store.find(kind=EventKind.APPROVAL_ASKED.value, call_id=approval.call_id, limit=1)
        return self.store.payload(asked[0].index, "arguments") if asked else None

    def stand_ins(self, approval: Approval) -> tuple[str, ...]:
        """The roles that it was escalated to, as far as the ward still names them."""
        named = self.settings().escalate_to
        return tuple(role for role in approval.stand_ins if role in named)

    def voters(self, approval: Approval) -> list[Voter]:
        """Whose word counts now: who agreed, has the credential it agreed with, and may still answer."""
        agreed = (
            self.people.voter(vote.by)
            for vote in approval.votes
            if vote.verdict is Verdict.APPROVE and self.people.has_credential(vote.by, vote.credential)
        )
        asker, stand_ins = approval.asker, self.stand_ins(approval)
        return [each for each in agreed if may_answer(approval.need, each, asker=asker, stand_ins=stand_ins)]

    def is_lifted(self, approval: Approval) -> bool:
        """Whether the votes are enough, counted now; or a person broke the glass who still may."""
        glass = approval.glass
        if glass is not None and GLASS in self.people.voter(glass.by).roles:
            return self.people.has_credential(glass.by, glass.credential)
        return bool(approval.votes) and is_satisfied(
            approval.need, self.voters(approval), asker=approval.asker, stand_ins=self.stand_ins(approval)
        )

    def state(self, approval: Approval) -> ApprovalState:
        """Where it is now, whether or not that was written down yet."""
        if approval.state is not ApprovalState.PENDING:
            return approval.state
        if self.now_ms() >= approval.expires_ms:
            return ApprovalState.EXPIRED
        return ApprovalState.APPROVED if self.is_lifted(approval) else ApprovalState.PENDING


def put_approval(approval: Approval, *, expect: int | None) -> Put:
    """The write of an approval."""
    return Put(Table.APPROVAL, approval.approval_id, canonical(msgspec.to_builtins(approval)), expect=expect)


def put_named(digest: str, approval: Approval, *, expect: int | None) -> Put:
    """The write by which a question, a refusal, or a call that ran is found again."""
    return Put(Table.QUESTION, digest, canonical({"approval": approval.approval_id}), expect=expect)


def approval_from_json(body: bytes) -> Approval:
    """The inverse of what is stored."""
    return msgspec.convert(orjson.loads(body), Approval)
