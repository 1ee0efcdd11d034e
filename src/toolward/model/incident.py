"""Something that went wrong, with the four times from which MTTR is computed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class IncidentKind(StrEnum):
    """What kind of thing went wrong."""

    INTEGRITY_FAILURE = "integrity_failure"
    QUARANTINE = "quarantine"
    REFUSED_START = "refused_start"
    BROKEN_GLASS = "broken_glass"  # a person lifted a rule alone; `subject` is the approval
    REGRESSION = "regression"  # a canary did worse than what it was to replace, and was rolled back
    STOP = "stop"  # a person used the kill switch
    CIRCUIT = (
        "circuit"  # calls of a tool or server failed one after the other; `subject` may end in ` for CALLER`
    )
    HONEYTOKEN = "honeytoken"  # a planted value stood in a call; `subject` is `honeytoken ID`
    RESULT_DRIFT = "result_drift"  # a tool's results are no longer like its baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Times are UTC nanoseconds; 0 means not yet. `subject` is a tool, a file or a log."""

    incident_id: str
    kind: IncidentKind
    subject: str
    text: str
    onset_ns: int
    detected_ns: int
    contained_ns: int = 0
    restored_ns: int = 0
