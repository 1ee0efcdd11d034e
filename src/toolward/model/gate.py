"""What a version must show to enter a channel, and what was shown."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from toolward.model.tool import Channel


class CanaryBounds(Struct, frozen=True, kw_only=True):
    """When a canary passes, and when it ends by itself."""

    share: int = 10  # per cent of the new sessions
    calls: int = 50  # of the candidate, before it passes
    minutes: int = 10
    slo: float = 0.99  # share of calls that are to be good
    failures: int = 5  # of the candidate in a row


class ServedBounds(Struct, frozen=True, kw_only=True):
    """How long and how well another channel has to have served the version."""

    channel: Channel
    calls: int = 1
    hours: int = 0
    errors_max: float = 0.01


class UsedBounds(Struct, frozen=True, kw_only=True):
    """How much, and how well, the version has to have been used while it was merely found."""

    calls: int = 20
    sessions: int = 3
    errors_max: float = 0.05


class ComparedBounds(Struct, frozen=True, kw_only=True):
    """How a comparison with the present version has to have come out."""

    calls: int = 10
    differences_max: int = 0


class ShadowBounds(Struct, frozen=True, kw_only=True):
    """How copies of calls have to have come out: live ones of what only reads, recorded ones of the rest."""

    calls: int = 50
    differences_max: int = 0


class Signoff(Struct, frozen=True, kw_only=True):
    """Who has to agree: people other than who proposed it and than the tool's owner."""

    people: int = 1
    role: str = ""


class Gate(Struct, frozen=True, kw_only=True):
    """What a version must show to enter one channel. What is left out is not asked for."""

    decision_tests: bool = False
    contract_tests: bool = False
    proof: bool = False
    compatible: bool = False
    signed: bool = False
    compared: ComparedBounds | None = None
    shadow: ShadowBounds | None = None
    served: ServedBounds | None = None
    used: UsedBounds | None = None
    canary: CanaryBounds | None = None
    signoff: Signoff | None = None


OPEN_GATE = Gate()
"""Of a channel that the ward says nothing of: a person's word is enough."""


class Verdict(StrEnum):
    """How a check came out. What is not known, or could not be found out, holds the version back."""

    HOLDS = "holds"
    FAILS = "fails"
    WAITS = "waits"  # no data, or the check could not run


class Check(Struct, frozen=True, kw_only=True):
    """One thing that a gate asks for; `evidence` is the digest of the record that shows it."""

    what: str
    verdict: Verdict
    text: str = ""
    evidence: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the record and for people."""
        return {
            "what": self.what,
            "verdict": self.verdict.value,
            "text": self.text,
            "evidence": self.evidence,
        }
