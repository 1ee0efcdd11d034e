"""Exit codes of the command line. They never change their meaning; `docs/cli.md` lists them."""

from __future__ import annotations

from enum import IntEnum

from toolward.errors import ReasonCode as Code


class Exit(IntEnum):
    """What a script can tell apart."""

    OK = 0
    FINDING = 1
    """Denied, or something was found: a finding of `check`, `doctor`, a call outside the rules."""
    USAGE = 2
    """The command line itself is wrong."""
    WARD_INVALID = 3
    """The ward's files are wrong, or a start was refused because of them."""
    UNAVAILABLE = 4
    """The gateway, its store or a server can not be reached now; the same command may succeed later."""
    VERIFICATION_FAILED = 5
    """The record is not what was signed."""
    NOT_SIGNED_IN = 6
    """No credential, or not one that may do this."""
    TOOL_FAILED = 7
    """The tool itself answered with an error, or was stopped."""
    APPROVAL_REQUIRED = 8
    """A person has to agree first."""
    BUG = 70
    """A fault of toolward (EX_SOFTWARE)."""
    INTERRUPTED = 130
    """Ctrl-C."""


_CODES: dict[Code, Exit] = {
    Code.WARD_INVALID: Exit.WARD_INVALID,
    Code.INTEGRITY_BROKEN: Exit.VERIFICATION_FAILED,
    Code.UNAUTHENTICATED: Exit.NOT_SIGNED_IN,
    Code.FOREIGN_ORIGIN: Exit.NOT_SIGNED_IN,
    Code.NOT_AN_APPROVER: Exit.NOT_SIGNED_IN,
    Code.APPROVAL_REQUIRED: Exit.APPROVAL_REQUIRED,
    Code.IN_PROGRESS: Exit.UNAVAILABLE,
    Code.CONTESTED: Exit.UNAVAILABLE,
    Code.AUDIT_UNAVAILABLE: Exit.UNAVAILABLE,
    Code.STORE_UNAVAILABLE: Exit.UNAVAILABLE,
    Code.GATEWAY_UNAVAILABLE: Exit.UNAVAILABLE,
    Code.OVERLOADED: Exit.UNAVAILABLE,
    Code.CIRCUIT_OPEN: Exit.UNAVAILABLE,
    Code.TOOL_UNREACHABLE: Exit.UNAVAILABLE,
    Code.SECRET_MISSING: Exit.UNAVAILABLE,
    Code.TOOL_FAILED: Exit.TOOL_FAILED,
    Code.BAD_OUTPUT: Exit.TOOL_FAILED,
    Code.OUTPUT_TOO_LARGE: Exit.TOOL_FAILED,
    Code.TIMED_OUT: Exit.TOOL_FAILED,
    Code.KILLED: Exit.TOOL_FAILED,
    Code.UNKNOWN_OUTCOME: Exit.TOOL_FAILED,
    Code.INTERNAL: Exit.BUG,
}


def exit_for(code: Code | str) -> Exit:
    """The exit code of a reason; what the rules or the caller's own mistake refused is a finding."""
    try:
        return _CODES.get(Code(code), Exit.FINDING)
    except ValueError:
        return Exit.FINDING
