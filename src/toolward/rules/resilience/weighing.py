"""What the outcome of a call says of its tool and its server."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, assert_never

from toolward.errors import ReasonCode
from toolward.model.call import Failed, RawOutcome, Returned, Stopped

INTERNAL_ERROR: Final = -32603
"""The one JSON-RPC error in which a server says that it is at fault itself."""
_OF_THE_LINK: Final = frozenset({ReasonCode.TOOL_UNREACHABLE.value, ReasonCode.TIMED_OUT.value})
_OF_THE_SERVER: Final = frozenset({ReasonCode.KILLED.value, ReasonCode.UNKNOWN_OUTCOME.value})
_OF_THE_TOOL: Final = frozenset(
    {ReasonCode.TIMED_OUT.value, ReasonCode.BAD_OUTPUT.value, ReasonCode.OUTPUT_TOO_LARGE.value}
)


class Says(StrEnum):
    """Of a call that ended."""

    WELL = "well"
    TOOL_FAILED = "tool_failed"
    SERVER_FAILED = "server_failed"  # and its tool with it
    NOTHING = "nothing"  # it was refused here, or its caller went away


def is_outage(code: ReasonCode) -> bool:
    """Whether a server that can not be described is at fault itself, not the ward or this machine."""
    return code.value in _OF_THE_LINK | _OF_THE_TOOL or code is ReasonCode.TOOL_FAILED


def says(outcome: RawOutcome, *, alone: bool) -> Says:
    """What it says. With `alone`, each call has a cage of its own and says nothing of other tools.

    A tool that answers with an error works: only one error says that the server itself is at fault.
    """
    found = _says(outcome)
    return Says.TOOL_FAILED if alone and found is Says.SERVER_FAILED else found


def _says(outcome: RawOutcome) -> Says:
    match outcome:
        case Returned():
            return Says.WELL
        case Failed(from_server=True):
            return Says.TOOL_FAILED if outcome.code == INTERNAL_ERROR else Says.WELL
        case Failed():
            return Says.SERVER_FAILED if outcome.reason in _OF_THE_LINK else Says.NOTHING
        case Stopped():
            if outcome.reason in _OF_THE_TOOL:
                return Says.TOOL_FAILED
            return Says.SERVER_FAILED if outcome.reason in _OF_THE_SERVER else Says.NOTHING
        case _:
            assert_never(outcome)
