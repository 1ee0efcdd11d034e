"""4 decide: Allow, Deny or Ask. Whatever goes wrong here is a Deny."""

from __future__ import annotations

from toolward.errors import Reason, ReasonCode, ToolwardError
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import LabelledCall
from toolward.model.decision import Decision, Deny
from toolward.rules.open_path import refused_flow


def decide(
    labelled: LabelledCall, revision: ActiveRevision, *, lifted: frozenset[str] = frozenset()
) -> Decision:
    """The policy's answer under the revision that the call began with, without what is `lifted`."""
    if (no := refused_flow(labelled)) is not None:
        return Deny(reason=no)
    try:
        return revision.book.decide(labelled, lifted=lifted)
    except (ToolwardError, ValueError, TypeError, KeyError, RecursionError) as error:
        # The engine promises not to raise. If it does, the answer is no, and the record says why.
        return Deny(
            reason=Reason(
                code=ReasonCode.RULE_ERROR,
                text=f"a rule could not be evaluated ({type(error).__name__})",
                remedy="tell the operator: `toolward explain` shows the rule",
            )
        )
