"""Every error that toolward raises, and whose fault it is.

    ToolwardError                    stable code, plain words, what to do next
    ├── CallerError                  the call is wrong: mend the call
    │   ├── Rejected                 not a well-formed, bounded, authenticated request
    │   ├── UnknownTool              no such tool for this caller
    │   └── BadArguments             outside the tool's schema
    ├── PolicyError                  the operator's rules say no: ask the operator
    │   ├── Denied
    │   └── Pending                  a person must agree first
    ├── GatewayError                 ours, or the machine's: try again or call the operator
    │   ├── AuditUnavailable         no record could be made durable, so nothing ran or nothing left
    │   ├── StoreUnavailable
    │   ├── SandboxUnavailable       no cage of the level that is asked for can be made here
    │   ├── Contested                what the call stood on changed meanwhile; it is decided again
    │   ├── IntegrityBroken          the record is not what was signed
    │   ├── Overloaded
    │   └── CircuitOpen              the tool or its server fails, so nothing is sent there for a while
    ├── UpstreamError                the tool's own
    │   ├── ToolFailed               it answered with an error, or could not be reached
    │   └── Killed                   it broke a limit and was stopped
    └── WardError                    the ward's files are wrong: file, line, remedy
    InvariantBroken                  a bug in toolward; nobody catches it

Messages are lower case without a full stop, put what the user sent in backticks, and never hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


class ReasonCode(StrEnum):
    """Stable codes. A code never changes its meaning; `docs/reason-codes.md` lists them all."""

    # the caller's
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    DUPLICATE_KEY = "duplicate_key"
    CASE_VARIANT_KEY = "case_variant_key"
    RESERVED_KEY = "reserved_key"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    NOT_UNICODE = "not_unicode"
    TOO_DEEP = "too_deep"
    UNSUPPORTED_VERSION = "unsupported_version"
    HEADER_MISMATCH = "header_mismatch"
    UNKNOWN_METHOD = "unknown_method"
    UNAUTHENTICATED = "unauthenticated"
    FOREIGN_ORIGIN = "foreign_origin"
    UNKNOWN_SESSION = "unknown_session"
    UNKNOWN_TOOL = "unknown_tool"
    BAD_ARGUMENTS = "bad_arguments"
    PATH_REFUSED = "path_refused"
    KEY_REUSED = "key_reused"
    IN_PROGRESS = "in_progress"
    UNKNOWN_OBJECTIVE = "unknown_objective"
    UNKNOWN_STEP = "unknown_step"
    # the operator's rules
    DENIED = "denied"
    RULE_ERROR = "rule_error"
    NOT_APPROVED = "not_approved"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"
    STALE_DEFINITION = "stale_definition"
    FINDING_NOT_ACCEPTED = "finding_not_accepted"
    REQUEST_NOT_ACCEPTED = "request_not_accepted"
    APPROVAL_REQUIRED = "approval_required"
    PLAN_TOO_LATE = "plan_too_late"
    APPROVAL_REFUSED = "approval_refused"
    NOT_AN_APPROVER = "not_an_approver"
    NOT_PENDING = "not_pending"
    GATE_NOT_MET = "gate_not_met"
    HELD_IN_ESCROW = "held_in_escrow"
    ESCROW_CANCELLED = "escrow_cancelled"
    RESOURCE_CONFLICT = "resource_conflict"
    RESOURCE_FENCED = "resource_fenced"
    NOT_UNDOABLE = "not_undoable"
    NOT_PROVED = "not_proved"
    STOPPED = "stopped"
    EGRESS_DENIED = "egress_denied"
    GRANT_REFUSED = "grant_refused"
    ISOLATION_TOO_WEAK = "isolation_too_weak"
    NOT_IN_STEP = "not_in_step"
    STEP_USED_UP = "step_used_up"
    SECURE_PATH = "secure_path"
    OBJECTIVE_NOT_APPROVED = "objective_not_approved"
    OBJECTIVE_NOT_REACHED = "objective_not_reached"
    OBJECTIVE_ENDED = "objective_ended"
    PROMOTION_REFUSED = "promotion_refused"
    BEYOND_OPEN_PATH = "beyond_open_path"
    BUDGET_SPENT = "budget_spent"
    HONEYTOKEN = "honeytoken"
    # the gateway's
    AUDIT_UNAVAILABLE = "audit_unavailable"
    STORE_UNAVAILABLE = "store_unavailable"
    GATEWAY_UNAVAILABLE = "gateway_unavailable"
    OVERLOADED = "overloaded"
    CIRCUIT_OPEN = "circuit_open"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    INTEGRITY_BROKEN = "integrity_broken"
    INTERNAL = "internal"
    CONTESTED = "contested"
    WARD_INVALID = "ward_invalid"
    # the tool's
    TOOL_FAILED = "tool_failed"
    TOOL_UNREACHABLE = "tool_unreachable"
    BAD_OUTPUT = "bad_output"
    OUTPUT_TOO_LARGE = "output_too_large"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    UNKNOWN_OUTCOME = "unknown_outcome"
    SECRET_MISSING = "secret_missing"  # noqa: S105 -- a code, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A code for programs, a text for people, a remedy for both. Holds no secret."""

    code: ReasonCode
    text: str
    remedy: str = ""
    details: tuple[tuple[str, str], ...] = ()

    def sentence(self) -> str:
        """Text and remedy in one line."""
        return f"{self.text}; {self.remedy}" if self.remedy else self.text

    def as_json(self) -> dict[str, object]:
        """The wire form that agents, operators and the audit see."""
        out: dict[str, object] = {"code": self.code.value, "reason": self.text}
        if self.remedy:
            out["remedy"] = self.remedy
        if self.details:
            out["details"] = dict(self.details)
        return out


class ToolwardError(Exception):
    """Root of everything that toolward raises on purpose; carries a `Reason`."""

    default_code: ReasonCode = ReasonCode.INTERNAL

    def __init__(
        self,
        text: str,
        *,
        code: ReasonCode | None = None,
        remedy: str = "",
        details: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Say what happened in `text`, and what to do next in `remedy`."""
        super().__init__(text)
        self.reason = Reason(code=code or self.default_code, text=text, remedy=remedy, details=details)

    def diagnostics(self) -> str:
        """All there is to say, for a person at a terminal."""
        return self.reason.sentence()


class CallerError(ToolwardError):
    """The caller's fault; the same call can not succeed."""


class Rejected(CallerError):
    """The bytes are not one well-formed, bounded, authenticated request."""

    default_code = ReasonCode.MALFORMED


class UnknownTool(CallerError):
    """No such tool, resource or prompt is visible to this caller."""

    default_code = ReasonCode.UNKNOWN_TOOL


class BadArguments(CallerError):
    """The arguments are outside the pinned schema."""

    default_code = ReasonCode.BAD_ARGUMENTS


class PolicyError(ToolwardError):
    """The operator's rules say no."""


class Denied(PolicyError):
    """A decision, or the state of the tool, forbids the call."""

    default_code = ReasonCode.DENIED


class Pending(PolicyError):
    """A person has to agree first."""

    default_code = ReasonCode.APPROVAL_REQUIRED

    @property
    def approval(self) -> str:
        """The approval to wait for, "" where the question can not wait."""
        return dict(self.reason.details).get("approval", "")


class GatewayError(ToolwardError):
    """The gateway's own fault, or its machine's."""


class AuditUnavailable(GatewayError):
    """No durable record could be made: nothing ran, or no result leaves."""

    default_code = ReasonCode.AUDIT_UNAVAILABLE


class AuditStopped(AuditUnavailable):
    """The log takes nothing more in this process; the next start settles what is open."""


class StoreUnavailable(GatewayError):
    """The state could not be read, so no decision can be made."""

    default_code = ReasonCode.STORE_UNAVAILABLE


class SandboxUnavailable(GatewayError):
    """No cage of the level that is asked for can be made here; nothing ran, and nothing runs weaker."""

    default_code = ReasonCode.SANDBOX_UNAVAILABLE


class Contested(GatewayError):
    """Another call changed what this one stood on while it was being promised; nothing ran. Decide again."""

    default_code = ReasonCode.CONTESTED


class IntegrityBroken(GatewayError):
    """A record, a proof or a signature is not what the log's key signed."""

    default_code = ReasonCode.INTEGRITY_BROKEN


class Overloaded(GatewayError):
    """A named limit on concurrent work was reached; nothing ran."""

    default_code = ReasonCode.OVERLOADED


class CircuitOpen(GatewayError):
    """A tool or its server failed again and again; nothing ran, and nothing is sent there for a while."""

    default_code = ReasonCode.CIRCUIT_OPEN


class UpstreamError(ToolwardError):
    """The tool's own failure."""


class ToolFailed(UpstreamError):
    """The tool answered with a protocol error, or could not be reached at all; no effect is assumed."""

    default_code = ReasonCode.TOOL_FAILED


class Killed(UpstreamError):
    """The tool broke a limit (time, size, protocol) and was stopped."""

    default_code = ReasonCode.KILLED


class WardError(ToolwardError):
    """The ward's files are wrong. `file` and `line` (1-based, 0 if unknown) say where."""

    default_code = ReasonCode.WARD_INVALID

    def __init__(
        self, text: str, *, file: str = "", line: int = 0, remedy: str = "", code: ReasonCode | None = None
    ) -> None:
        """Point at `file:line`, say what is wrong there and how to mend it."""
        details = (("file", file), ("line", str(line))) if file else ()
        super().__init__(text, code=code, remedy=remedy, details=details)
        self.file = file
        self.line = line

    @override
    def diagnostics(self) -> str:
        """`file:line: text`, then the remedy."""
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.reason.sentence()}"


class InvariantBroken(Exception):
    """A bug in toolward. Nothing catches this but the outermost edge, which denies."""
