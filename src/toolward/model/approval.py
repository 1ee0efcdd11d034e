"""A person's answer to an Ask, and a standing answer to bounded like calls. Times are UTC milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from toolward.model.decision import ApprovalNeed

OWN_USER = "user"
"""The role of the session's own user; no entry of the ward's roles can give it to anybody else."""
BREAK_GLASS_ROLE = "break_glass"
"""Who has it may lift askable forbids alone, and answers for it afterwards."""


class ApprovalState(StrEnum):
    """Where an approval is. Enough votes and too much time are seen when one looks, not when one writes."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    USED = "used"
    ENDED = "ended"  # the same call has become another question


class Verdict(StrEnum):
    """What a person said."""

    APPROVE = "approve"
    REFUSE = "refuse"
    BREAK_GLASS = "break_glass"


class Voter(Struct, frozen=True, kw_only=True):
    """A person with the roles that the ward gives now."""

    user: str
    roles: frozenset[str]


class Vote(Struct, frozen=True, kw_only=True):
    """One person's word. It counts for as long as its credential and the person's role stand."""

    by: str
    credential: str
    role: str
    verdict: Verdict
    at_ms: int
    note: str = ""


class Approval(Struct, frozen=True, kw_only=True):
    """One question to people about one exact call, and what they said.

    `state` is as written down: PENDING until it is refused, used or ended. Who asked and what, without the
    arguments, is in `call`; the arguments are the payload of the record of kind `approval.asked`.
    """

    approval_id: str
    question: str  # digest of all it is bound to
    subject: str  # digest of the call alone: with other policies it is another question about the same
    state: ApprovalState
    call: Mapping[str, Any]
    call_id: str  # that was asked about first
    tool: str
    version: str
    need: ApprovalNeed
    reason: str
    remedy: str
    lineage: tuple[Mapping[str, Any], ...]
    frozen: bool  # what is stored is all of it, so that it can run without its caller
    asked_ms: int
    expires_ms: int
    votes: tuple[Vote, ...] = ()
    glass: Vote | None = None
    reminders: int = 0
    stand_ins: tuple[str, ...] = ()  # roles that it was escalated to
    used_by: str = ""  # call_id of the execution
    used_ms: int = 0
    ended_ms: int = 0
    tried: bool = False  # it was let go and surely had no effect: it runs when its caller asks, not by itself
    plea: str = ""  # digest of the question whatever its idempotency key: what a refusal answers
    size_bytes: int = 0  # of its arguments

    @property
    def asker(self) -> str:
        """The session's own user."""
        return str(self.call["principal"]["user"])


class Pattern(Struct, frozen=True, kw_only=True):
    """What one argument may be: exactly one of the three."""

    equals: Any = None  # canonical value
    under: str = ""  # a path with all below it, or a host or address with all of its own
    anything: bool = False


class Grant(Struct, frozen=True, kw_only=True):
    """A standing approval of like calls: by session, or by user and agent; of one tool; so often; until then.

    `parts` are the askable forbids that it lifts, as they read when it was made.
    """

    grant_id: str
    by: str
    credential: str
    user: str
    agent: str
    session_id: str  # "" for every session of user and agent
    tool: str
    version: str  # of the tool: what was approved anew is granted anew
    arguments: Mapping[str, Pattern]
    parts: tuple[ApprovalNeed, ...]
    uses: int
    made_ms: int
    expires_ms: int
    note: str = ""
    approval_id: str = ""  # the question that gave rise to it
    ended_ms: int = 0
