"""The answer of the decide stage: a closed sum, never a boolean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from toolward.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNeed:
    """What a person would have to agree to: the askable forbids to lift, and who may lift them."""

    policies: tuple[str, ...]
    roles: tuple[str, ...]
    every_role: bool = False  # each of `roles` must agree, since no one role may lift all; else any of them
    quorum: int = 1
    four_eyes: bool = False
    expires_s: int = 3600
    at_once: bool = False  # it runs when the last vote arrives, not when the caller asks again
    parts: tuple[ApprovalNeed, ...] = ()  # what each forbid demands by itself, where several were joined
    digest: str = ""  # of a part: the text of its one forbid
    reason: str = ""  # of a part: why that forbid asks


class _NoTruth:
    """A decision is matched, not tested."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision has no truth value; match on Allow, Deny and Ask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow(_NoTruth):
    """Go on. `would` holds what `guarded` would have said when the profile only observes."""

    policies: tuple[str, ...]
    policy_digest: str
    would: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny(_NoTruth):
    """Stop, with the reason."""

    reason: Reason
    policies: tuple[str, ...] = ()
    policy_digest: str = ""
    rolls_back: tuple[str, ...] = ()  # of `policies`, those that order the session to be taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(_NoTruth):
    """A person may lift exactly the forbids that `need` names."""

    need: ApprovalNeed
    reason: Reason
    policies: tuple[str, ...]
    policy_digest: str


Decision = Allow | Deny | Ask
