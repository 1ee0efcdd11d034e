"""The only place where a permit comes into being. Imported by the authorize stage and nothing else."""

from __future__ import annotations

from toolward.errors import InvariantBroken
from toolward.model.call import LabelledCall
from toolward.model.decision import Allow
from toolward.model.permit import Permit


def mint(
    permit_id: str, labelled: LabelledCall, decision: Allow, *, approvals: tuple[str, ...] = ()
) -> Permit:
    """A permit for exactly this call under exactly this decision; `approvals` name what lifted forbids."""
    version = labelled.resolved.version
    if not decision.policies and not decision.policy_digest:
        raise InvariantBroken("an Allow that names neither policies nor their digest")
    return Permit(
        permit_id=permit_id,
        labelled=labelled,
        args_digest=labelled.call.args_digest,
        version_digest=version.digest if version else "",
        policy_digest=decision.policy_digest,
        policies=decision.policies,
        approvals=approvals,
        would=decision.would.code.value if decision.would else "",
    )
