"""4 decide: Allow, Deny or Ask. Whatever goes wrong here is a Deny."""

from __future__ import annotations

from toolward.errors import Reason, ReasonCode, ToolwardError
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import LabelledCall
from toolward.model.decision import Decision, Deny
from toolward.model.tool import Path
from toolward.rules.open_path import refused_flow
from toolward.rules.path import unapproved_on_secure


def decide(
    labelled: LabelledCall, revision: ActiveRevision, *, lifted: frozenset[str] = frozenset()
) -> Decision:
    """The policy's answer under the revision that the call began with, without what is `lifted`.

    What no policy can allow is refused before: a tool that nobody approved, on the secure path, and what is
    confidential into a found one.
    """
    if (reason := off_its_path(labelled)) is not None:
        return Deny(reason=reason)
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


def off_its_path(labelled: LabelledCall) -> Reason | None:
    """Why the call can not go the path that it would have to take, whatever policies say; None if it can."""
    if (no := refused_flow(labelled)) is not None:
        return no
    facts = labelled.facts
    if facts.approved or facts.path is not Path.SECURE:
        return None
    key = f"{labelled.resolved.server}/{labelled.resolved.name}"
    return unapproved_on_secure(key, facts.path_why)
