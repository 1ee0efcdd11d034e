"""All of approvals, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from toolward.kernel.approvals.asking import Asking
from toolward.kernel.approvals.bell import Bell
from toolward.kernel.approvals.clause import ApprovalClause
from toolward.kernel.approvals.endorsing import Endorsing
from toolward.kernel.approvals.grants import Grants
from toolward.kernel.approvals.ground import KEPT_MS, Ground, put_approval
from toolward.kernel.approvals.pruning import prune
from toolward.kernel.approvals.voting import Voting
from toolward.kernel.approvals.watch import Watch, ended
from toolward.kernel.attempt import Attempt
from toolward.kernel.incidents import Incidents
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.replay import Replay
from toolward.kernel.sessions import Sessions
from toolward.kernel.suspended import attempt_of, suspended_principal
from toolward.model.approval import Approval, ApprovalState
from toolward.model.call import Reply
from toolward.ports.store import Conflict
from toolward.ports.upstream import Exchange

Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]
_WAITS: Final = frozenset({ApprovalState.PENDING})
RELEASED: Final = "approval"
"""The door of a call that goes on by itself, because people agreed to it."""


@dataclass(slots=True, kw_only=True)
class Approvals:
    """What the authorize stage, the desk and the doors have at hand. Made by `make_approvals`."""

    ground: Ground
    grants: Grants
    watch: Watch
    asking: Asking
    voting: Voting
    endorsing: Endorsing
    clause: ApprovalClause
    bell: Bell
    resume: Callable[[Approval], None]

    async def answered(self, approval_id: str, patience_s: float) -> bool:
        """Whether somebody answered, or its time was over, before `patience_s` had passed."""
        found = self.ground.find(approval_id)
        if found is None or self.ground.state(found.approval) not in _WAITS:
            return True
        return patience_s > 0 and await self.bell.rung(approval_id, patience_s)

    async def wait(self, approval_id: str, exchange: Exchange, patience_s: float) -> bool:
        """As `answered`, and the caller hears meanwhile, in its door's way, that it waits for a person."""
        found = self.ground.find(approval_id)
        reason = found.approval.reason if found is not None else ""
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(exchange.waits(approval_id, reason))
            try:
                return await self.answered(approval_id, patience_s)
            finally:
                telling.cancel()

    async def begin(self) -> None:
        """Take up what an earlier process left, and what it had yet to run. Raises `AuditUnavailable`."""
        await self.prune()
        for approval in self.watch.load():
            if approval.need.at_once and approval.frozen and self._is_wanted(approval):
                self.resume(approval)

    def _is_wanted(self, approval: Approval) -> bool:
        """Whether it was just agreed to and not tried; anything else waits until its caller asks."""
        answers = [*approval.votes, *([approval.glass] if approval.glass is not None else [])]
        agreed_ms = max((each.at_ms for each in answers), default=0)
        is_new = self.ground.now_ms() < agreed_ms + KEPT_MS and not approval.tried
        return is_new and self.ground.state(approval) is ApprovalState.APPROVED

    async def prune(self) -> int:
        """Remove the rows of what has long been over; how many. Raises `AuditUnavailable`."""
        return await prune(self.ground, self.grants)


async def _end(ground: Ground, approval: Approval, why: str) -> None:
    """It is over without having run. Somebody who changed it at this moment has the last word."""
    found = ground.found(approval.approval_id)
    over = replace(found.approval, state=ApprovalState.ENDED, ended_ms=ground.now_ms())
    with suppress(Conflict):
        await ground.store.commit([ended(ground, approval, why)], [put_approval(over, expect=found.version)])


async def ask_again(ground: Ground, approval: Approval, perform: Perform) -> None:
    """The frozen call once more, from resolve on: it runs if all that it is bound to still stands."""
    arguments = ground.arguments(approval)
    if arguments is None:
        return  # erased: only the caller knows what it asked for
    if not ground.people.stands(suspended_principal(approval.call)):
        await _end(ground, approval, "its caller is not let in any more, or has other roles")
        return
    attempt = attempt_of(approval.call, arguments, released=approval.approval_id, door=RELEASED)
    _ = await perform(attempt, QuietExchange())


def make_approvals(
    ground: Ground,
    incidents: Incidents,
    sessions: Sessions,
    replay: Replay,
    resume: Callable[[Approval], None],
) -> Approvals:
    """The parts, which share one bell and one watch."""
    bell = Bell()
    watch = Watch(ground, bell)
    grants = Grants(ground)
    return Approvals(
        ground=ground,
        grants=grants,
        watch=watch,
        asking=Asking(ground, watch, bell, replay),
        voting=Voting(ground, watch, bell, incidents, resume),
        endorsing=Endorsing(ground, sessions),
        clause=ApprovalClause(ground, grants, watch, bell),
        bell=bell,
        resume=resume,
    )
