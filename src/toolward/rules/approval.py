"""What an approval is bound to, and when the votes are enough. Pure: roles and time are handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from toolward.model.approval import OWN_USER, Voter
from toolward.model.call import LabelledCall
from toolward.model.decision import ApprovalNeed
from toolward.rules.canonical import canonical


def subject_of(labelled: LabelledCall, *, retry_digest: str) -> str:
    """Digest of who asks for what, whatever the policies say: the caller, the session, the exact call."""
    return _digest(*_who_asks_what(labelled), retry_digest, labelled.call.idempotency_key)


def plea_of(labelled: LabelledCall, *, policy_digest: str) -> str:
    """Digest of the question as a person hears it, who hears no new one in a new idempotency key."""
    version = labelled.resolved.version
    return _digest("plea", *_who_asks_what(labelled), version.digest if version else "", policy_digest)


def question_of(subject: str, labelled: LabelledCall, *, policy_digest: str) -> str:
    """Digest of all that an approval is bound to; if any of it changes it is another question."""
    version = labelled.resolved.version
    return _digest(subject, version.digest if version else "", policy_digest)


def _who_asks_what(labelled: LabelledCall) -> list[str]:
    resolved = labelled.resolved
    call = resolved.call
    principal = call.session.principal
    return [
        principal.user,
        principal.agent,
        principal.credential,
        call.session.session_id,
        call.action.value,
        resolved.server,
        resolved.name if resolved.version else call.target,
        call.args_digest,
    ]


def _digest(*parts: str) -> str:
    return hashlib.sha256(canonical(list(parts))).hexdigest()


def roles_held(
    need: ApprovalNeed, voter: Voter, *, asker: str, stand_ins: Sequence[str] = ()
) -> frozenset[str]:
    """Which of the roles of `need` this person can speak for; none under four eyes if it is the asker.

    Who has one of the roles that an approval was escalated to stands in for each of them.
    """
    own = voter.user == asker
    if own and need.four_eyes:
        return frozenset()
    named = frozenset(need.roles)
    mine = voter.roles - {OWN_USER}
    if not mine.isdisjoint(stand_ins):
        return named
    return named & (mine | {OWN_USER} if own else mine)


def may_answer(need: ApprovalNeed, voter: Voter, *, asker: str, stand_ins: Sequence[str] = ()) -> str:
    """A role in which this person may answer, "" if there is none."""
    needs = need.parts if need.every_role and need.parts else (need,)
    held = [role for each in needs for role in roles_held(each, voter, asker=asker, stand_ins=stand_ins)]
    return min(held, default="")


def is_satisfied(
    need: ApprovalNeed, voters: Sequence[Voter], *, asker: str, stand_ins: Sequence[str] = ()
) -> bool:
    """Whether these persons are enough: the quorum counts persons, not votes.

    Where no single role may lift all, each forbid's own demand must be met and each role have spoken.
    """
    if not need.every_role:
        return _enough(need, voters, asker=asker, stand_ins=stand_ins)
    parts = need.parts or (need,)
    spoken = {
        role
        for part in parts
        for voter in voters
        for role in roles_held(part, voter, asker=asker, stand_ins=stand_ins)
    }
    return spoken.issuperset(need.roles) and all(
        _enough(part, voters, asker=asker, stand_ins=stand_ins) for part in parts
    )


def _enough(need: ApprovalNeed, voters: Sequence[Voter], *, asker: str, stand_ins: Sequence[str]) -> bool:
    persons = {voter.user for voter in voters if roles_held(need, voter, asker=asker, stand_ins=stand_ins)}
    return len(persons) >= need.quorum
