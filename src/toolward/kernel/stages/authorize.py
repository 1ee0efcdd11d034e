"""5 authorize: only an Allow becomes a permit; everything else is a refusal with its reason."""

from __future__ import annotations

from typing import assert_never

from toolward.errors import Denied, Pending
from toolward.kernel.mint import mint
from toolward.model.call import LabelledCall
from toolward.model.decision import Allow, Ask, Decision, Deny
from toolward.model.permit import Permit
from toolward.ports.ids import Ids


class Authorize:
    """Stage 5, for what an agent asks for."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    async def __call__(self, labelled: LabelledCall, decision: Decision) -> Permit:
        """Raises `Denied` and `Pending`."""
        return authorize(labelled, decision, ids=self._ids)


def authorize(labelled: LabelledCall, decision: Decision, *, ids: Ids) -> Permit:
    """A permit, or `Denied`, or `Pending` naming the approval it would need."""
    match decision:
        case Allow():
            return mint(ids.new(), labelled, decision)
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
                    ("approval_by", ", ".join(need.roles)),
                    ("quorum", str(need.quorum)),
                    ("four_eyes", "yes" if need.four_eyes else "no"),
                    ("policies", ", ".join(need.policies)),
                ),
            )
        case _:
            assert_never(decision)
