"""When a found tool was used so much, and so well, that a person should look at it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from toolward.rules.canonical import canonical

CALLS_MIN: Final = 20
SESSIONS_MIN: Final = 3
FAILURES_PERCENT_MAX: Final = 5
SESSIONS_NAMED_MAX: Final = 100
"""Sessions that are told apart; more would prove nothing more."""


@dataclass(slots=True, kw_only=True)
class OpenRecord:
    """What is known of one version of a found tool from its calls."""

    version: str
    calls: int = 0
    failures: int = 0  # errors of its own among them
    unfit: int = 0  # of those, results that did not fit its output schema
    bytes_in: int = 0
    bytes_max: int = 0
    sessions: set[str] = field(default_factory=set)
    proposed: bool = False

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        return {**self.evidence(), "session_ids": sorted(self.sessions), "proposed": self.proposed}

    def evidence(self) -> dict[str, Any]:
        """What a record and a person are shown."""
        return {
            "version": self.version,
            "calls": self.calls,
            "sessions": len(self.sessions),
            "failures": self.failures,
            "unfit": self.unfit,
            "bytes_in": self.bytes_in,
            "bytes_max": self.bytes_max,
        }


def record_from_json(value: Mapping[str, Any]) -> OpenRecord:
    """The inverse of `OpenRecord.as_json`."""
    counted = {
        name: value[name] for name in ("version", "calls", "failures", "unfit", "bytes_in", "bytes_max")
    }
    return OpenRecord(**counted, sessions=set(value["session_ids"]), proposed=value["proposed"])


def is_worth_a_look(record: OpenRecord) -> bool:
    """Whether it was called often, by several sessions, and seldom failed."""
    return (
        record.calls >= CALLS_MIN
        and len(record.sessions) >= SESSIONS_MIN
        and record.failures * 100 <= record.calls * FAILURES_PERCENT_MAX
    )


def evidence_digest(record: OpenRecord) -> str:
    """`sha256:<hex>` of the evidence: what a promotion names."""
    return f"sha256:{hashlib.sha256(canonical(record.evidence())).hexdigest()}"
