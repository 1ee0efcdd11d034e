"""All of approvals, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from toolward.kernel.approvals.asking import Asking
from toolward.kernel.approvals.bell import Bell
from toolward.kernel.approvals.clause import ApprovalClause
from toolward.kernel.approvals.endorsing import Endorsing
from toolward.kernel.approvals.grants import Grants
from toolward.kernel.approvals.ground import Ground
from toolward.kernel.approvals.pruning import prune
from toolward.kernel.approvals.voting import Voting
from toolward.kernel.approvals.watch import Watch
from toolward.kernel.attempt import Attempt
from toolward.kernel.incidents import Incidents
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.sessions import Sessions
from toolward.kernel.suspended import attempt_of
from toolward.model.approval import Approval, ApprovalState
from toolward.model.call import Reply
from toolward.ports.upstream import Exchange

PROGRESS: Final = "notifications/progress"
PROGRESS_S: Final = 5.0
"""How often a caller that is kept waiting is told that it still is."""
Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]
_WAITS: Final = frozenset({ApprovalState.PENDING})


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
        """As `answered`, and the caller hears meanwhile that it waits for a person."""
        count = 0
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while True:
            params: Mapping[str, Any] = {"progress": count, "message": "waiting for a person to approve"}
            await exchange.notify(PROGRESS, params)
            count += 1
            left_s = until - loop.time()
            if await self.answered(approval_id, min(PROGRESS_S, left_s)):
                return True
            if left_s <= PROGRESS_S:
                return False

    async def begin(self) -> None:
        """Take up what an earlier process left, and what it had yet to run. Raises `AuditUnavailable`."""
        await prune(self.ground)
        for approval in self.watch.load():
            if (
                approval.need.at_once
                and approval.frozen
                and self.ground.state(approval) is ApprovalState.APPROVED
            ):
                self.resume(approval)


async def ask_again(ground: Ground, approval: Approval, perform: Perform) -> None:
    """The frozen call once more, from resolve on: it runs if all that it is bound to still stands."""
    arguments = ground.arguments(approval)
    if arguments is None:
        return  # erased: only the caller knows what it asked for
    attempt = attempt_of(approval.call, arguments, released=approval.approval_id, door="approval")
    _ = await perform(attempt, QuietExchange())


def make_approvals(
    ground: Ground, incidents: Incidents, sessions: Sessions, resume: Callable[[Approval], None]
) -> Approvals:
    """The parts, which share one bell and one watch."""
    bell = Bell()
    watch = Watch(ground, bell)
    grants = Grants(ground)
    return Approvals(
        ground=ground,
        grants=grants,
        watch=watch,
        asking=Asking(ground, watch, bell),
        voting=Voting(ground, watch, bell, incidents, resume),
        endorsing=Endorsing(ground, sessions),
        clause=ApprovalClause(ground, grants, watch, bell),
        bell=bell,
        resume=resume,
    )
