"""How a job's end becomes an outcome: errors of the tool are answers, a kill is a stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import ReasonCode, ToolwardError
from toolward.model.call import Failed, RawOutcome, Returned
from toolward.model.call import Stopped as StoppedOutcome
from toolward.ports.sandbox import Ended, Exited, Raised, Stopped, StopReason, Value

STOPPED_AS: Final[Mapping[StopReason, ReasonCode]] = {
    StopReason.WALL: ReasonCode.TIMED_OUT,
    StopReason.OUTPUT: ReasonCode.OUTPUT_TOO_LARGE,
    StopReason.PROTOCOL: ReasonCode.BAD_OUTPUT,
    StopReason.MEMORY: ReasonCode.KILLED,
    StopReason.CPU: ReasonCode.KILLED,
    StopReason.PROCESSES: ReasonCode.KILLED,
    StopReason.WRITTEN: ReasonCode.KILLED,
    StopReason.DIED: ReasonCode.KILLED,
}
NO_ANSWER: Final = "NoAnswer"
"""How a sandbox tells of an interpreter that ended without an answer."""
NOT_RUN: Final = -32001
_STDERR_MAX: Final = 4_096
"""Of what a failed program said: the end, where its error stands."""


def outcome_of(ended: Ended, *, output_bytes_max: int, json: bool = False) -> RawOutcome:
    """The outcome of a call that ran. `json`: an object on a program's stdout is structured content."""
    match ended:
        case Value(value=value):
            return _within(_result_of(value), output_bytes_max)
        case Raised(kind=kind) if kind == NO_ANSWER:
            return _stopped(ReasonCode.KILLED, "the function's interpreter ended without an answer")
        case Raised(kind=kind, text=text):
            return _within(_error(f"{kind}: {text}" if text else kind), output_bytes_max)
        case Exited():
            return _within(_end_of_program(ended, json=json), output_bytes_max)
        case Stopped(reason=reason, text=text):
            return _stopped(STOPPED_AS[reason], text)


def _within(result: dict[str, Any], bytes_max: int) -> RawOutcome:
    size = len(orjson.dumps(result))
    if size > bytes_max:
        return _stopped(ReasonCode.OUTPUT_TOO_LARGE, f"the result has {size} bytes, more than its limit")
    return Returned(result=result, size_bytes=size)


def refusal_of(no: ToolwardError) -> RawOutcome:
    """A job that the gateway or the sandbox would not begin; or one whose cage may not be gone."""
    if no.reason.code is ReasonCode.UNKNOWN_OUTCOME:
        return _stopped(no.reason.code, no.reason.sentence())
    return Failed(
        code=NOT_RUN,
        message=no.reason.sentence(),
        reason=no.reason.code.value,
        data=no.reason.as_json(),
        from_server=False,
    )


def _result_of(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return _text(value)
    result = _text(orjson.dumps(value).decode())
    if isinstance(value, dict):
        result["structuredContent"] = value
    return result


def _end_of_program(ended: Exited, *, json: bool) -> dict[str, Any]:
    status = ended.status
    if status == 0:
        result = _text(ended.stdout.decode("utf-8", "replace"))
        structured = _object_in(ended.stdout) if json else None
        return result if structured is None else {**result, "structuredContent": structured}
    how = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
    last = ended.stderr[-_STDERR_MAX:].strip() or ended.stdout[-_STDERR_MAX:].strip()
    said = last.decode("utf-8", "replace")
    return _error(f"{how}: {said}" if said else how)


def _object_in(data: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def _error(text: str) -> dict[str, Any]:
    return {**_text(text), "isError": True}


def _stopped(code: ReasonCode, text: str) -> StoppedOutcome:
    return StoppedOutcome(reason=code.value, message=text)
