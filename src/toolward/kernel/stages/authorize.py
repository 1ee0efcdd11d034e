"""5 authorize: only an Allow becomes a permit; everything else is a refusal with its reason.

An Ask is answered here: by standing grants, by an approval of exactly this call, or by asking people. What
was agreed to lifts the forbids that it names, and the policies are asked again without them; so whatever else
they say still holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from toolward.errors import Denied, Pending
from toolward.kernel.approvals.approvals import RELEASED, Approvals
from toolward.kernel.mint import mint
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.stages.decide import decide
from toolward.model.call import LabelledCall
from toolward.model.decision import Allow, Ask, Decision, Deny
from toolward.model.permit import Permit
from toolward.ports.ids import Ids


class Authorize:
    """Stage 5, for what an agent asks for."""

    def __init__(
        self, ids: Ids, approvals: Approvals, rolls_back: Callable[[LabelledCall, Deny], None]
    ) -> None:
        """`rolls_back` hears of a denial that orders the session's work to be taken back."""
        self._ids = ids
        self._approvals = approvals
        self._rolls_back = rolls_back

    async def __call__(self, labelled: LabelledCall, decision: Decision, revision: ActiveRevision) -> Permit:
        """A permit, whose `approvals` name what lifted something.

        Raises `Denied`, `Pending` once the question is on record, `Answered` where it ran already.
        """
        await self._approvals.asking.kept(labelled)  # before grants too: it ran, and does not run again
        if not isinstance(decision, Ask) or labelled.call.copy_of:  # of a copy nobody is asked
            return self._authorized(labelled, decision)
        # what goes on by its approval uses that up, or a retry of its caller would find it unused and run too
        own = labelled.call.door == RELEASED
        granted = {} if own else self._approvals.grants.lifting(labelled, decision.need)
        by, lifted = tuple(granted), frozenset[str]().union(*granted.values())
        if lifted:
            decision = decide(labelled, revision, lifted=lifted)
        if isinstance(decision, Ask):
            approval = await self._approvals.asking.answer(labelled, decision)
            by, lifted = (*by, approval.approval_id), lifted.union(approval.need.policies)
            decision = decide(labelled, revision, lifted=lifted)
        return self._authorized(labelled, decision, by)

    def _authorized(self, labelled: LabelledCall, decision: Decision, by: tuple[str, ...] = ()) -> Permit:
        if isinstance(decision, Deny) and decision.rolls_back and not labelled.call.undo_of:
            self._rolls_back(labelled, decision)
        return authorize(labelled, decision, ids=self._ids, approvals=by)


def authorize(
    labelled: LabelledCall, decision: Decision, *, ids: Ids, approvals: tuple[str, ...] = ()
) -> Permit:
    """A permit, or `Denied`, or `Pending` naming who would have to agree, where nobody can be waited for."""
    match decision:
        case Allow():
            return mint(ids.new(), labelled, decision, approvals=approvals)
        case Deny():
            raise Denied(
                decision.reason.text,
                code=decision.reason.code,
                remedy=decision.reason.remedy,
                details=decision.reason.details,
            )
        case Ask():
            need = decision.need
            raise Pending(
                decision.reason.text,
                remedy=decision.reason.remedy,
                details=(
                    ("roles", ", ".join(need.roles)),
                    ("quorum", str(need.quorum)),
                    ("four_eyes", "yes" if need.four_eyes else "no"),
                    ("policies", ", ".join(need.policies)),
                ),
            )
        case _:
            assert_never(decision)
