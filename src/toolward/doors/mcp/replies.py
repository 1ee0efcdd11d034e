"""From the corridor's reply to the message that leaves: unchanged but for what we and the era have to add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.doors.mcp.wire import (
    DENIAL_KEY,
    INTERNAL_ERROR,
    MISSING_CAPABILITY,
    RECEIPT_KEY,
    SERVER_INFO_KEY,
    STATELESS_STATUS,
    Json,
    RequestId,
)
from toolward.errors import ReasonCode as Code
from toolward.model.call import LIST_ACTIONS, Action, Reply, WireError

_OURS = frozenset({RECEIPT_KEY, DENIAL_KEY})
CACHEABLE = LIST_ACTIONS | {Action.READ_RESOURCE}
_PROTOCOL_FAULTS = frozenset(
    {
        Code.MALFORMED,
        Code.TOO_LARGE,
        Code.DUPLICATE_KEY,
        Code.CASE_VARIANT_KEY,
        Code.RESERVED_KEY,
        Code.NUMBER_OUT_OF_RANGE,
        Code.NOT_UNICODE,
        Code.TOO_DEEP,
        Code.UNSUPPORTED_VERSION,
        Code.HEADER_MISMATCH,
        Code.UNKNOWN_METHOD,
        Code.UNAUTHENTICATED,
        Code.FOREIGN_ORIGIN,
        Code.UNKNOWN_SESSION,
        Code.UNKNOWN_TOOL,
    }
)
DENIALS = frozenset(Code) - _PROTOCOL_FAULTS
"""Reasons that an agent should read and go on with, so that they come as a tool's result."""
STATELESS_DENIALS = DENIALS | {Code.UNKNOWN_TOOL}
"""In the 2026 era an unknown tool is readable too, as in the official SDK: the official suite calls two
diagnostic tools that its reference server lacks and counts a protocol error as a failure. The
specification's examples name -32602, which the 2025 era keeps."""
RETRYABLE = frozenset(
    {
        Code.OVERLOADED,
        Code.TOOL_UNREACHABLE,
        Code.STALE_DEFINITION,
        Code.APPROVAL_REQUIRED,
        Code.HELD_IN_ESCROW,
        Code.IN_PROGRESS,
        Code.RESOURCE_CONFLICT,
        Code.CONTESTED,
    }
)
"""The same call may succeed later, and to send it again makes no second effect."""


def dump(message: Json) -> bytes:
    """One JSON-RPC message as UTF-8 bytes without a line break."""
    return orjson.dumps(message, default=_plain)


def handshake_message(request_id: RequestId, action: Action, reply: Reply) -> Json:
    """The answer to a request of the 2025 era."""
    if reply.error is None:
        # the official suite takes nothing but an empty object here; the record is in the log all the same
        receipt = None if action is Action.SET_LOG_LEVEL else reply.receipt
        return {"jsonrpc": "2.0", "id": request_id, "result": with_meta(reply.result or {}, receipt)}
    denial = denial_result(action, reply)
    if denial is not None:
        return {"jsonrpc": "2.0", "id": request_id, "result": denial}
    return {"jsonrpc": "2.0", "id": request_id, "error": error_object(reply.error)}


def stateless_message(
    request_id: RequestId, action: Action, reply: Reply, server_info: Mapping[str, Any]
) -> tuple[int, Json]:
    """HTTP status and answer to a request of the 2026 era."""
    if reply.error is None:
        result = with_meta(reply.result or {}, reply.receipt)
    else:
        denial = denial_result(action, reply, STATELESS_DENIALS)
        if denial is None:
            status = reply.error.http_status
            if status == 200:  # noqa: PLR2004 -- HTTP's OK: the kernel left the choice to the era
                status = STATELESS_STATUS.get(reply.error.code, 200)
            return status, {"jsonrpc": "2.0", "id": request_id, "error": error_object(reply.error)}
        result = denial
    return 200, {"jsonrpc": "2.0", "id": request_id, "result": stateless_result(action, result, server_info)}


def stateless_result(action: Action | None, result: Json, server_info: Mapping[str, Any]) -> Json:
    """Add what the 2026 era requires of each result.

    Lists and reads are filtered by who asks, so they are private whatever the upstream said of its own.
    """
    meta = dict(result.get("_meta") or {})
    meta.setdefault(SERVER_INFO_KEY, server_info)
    result["_meta"] = meta
    result.setdefault("resultType", "complete")
    if action is None or action in CACHEABLE:
        result["cacheScope"] = "private"
        result.setdefault("ttlMs", 0)
    return result


def with_meta(result: Mapping[str, Any], receipt: Mapping[str, Any] | None) -> Json:
    """A copy with our receipt; what the upstream put under our own keys is a forgery and goes."""
    out = dict(result)
    given, meta = out.get("_meta"), {}
    if given is not None and isinstance(given, Mapping):
        out["_meta"] = meta = {key: value for key, value in given.items() if key not in _OURS}
    if receipt is not None:
        out["_meta"] = {**meta, RECEIPT_KEY: receipt}
    return out


def denial_result(action: Action, reply: Reply, readable: frozenset[Code] = DENIALS) -> Json | None:
    """A denied `tools/call` as a tool result that the agent can read, or None where it is no such denial."""
    error = reply.error
    if action is not Action.CALL_TOOL or error is None or error.code == MISSING_CAPABILITY:
        return None
    code = _code_of(error)
    if code is None or code not in readable:
        return None
    data: Mapping[str, Any] = error.data
    sentence = "; ".join(str(data[key]) for key in ("reason", "remedy") if data.get(key)) or error.message
    meta: Json = {DENIAL_KEY: {**data, "retryable": code in RETRYABLE}}
    if reply.receipt is not None:
        meta[RECEIPT_KEY] = reply.receipt
    return {"content": [{"type": "text", "text": sentence}], "isError": True, "_meta": meta}


def error_object(error: WireError) -> Json:
    """The JSON-RPC error member."""
    out: Json = {"code": error.code, "message": error.message}
    if error.data is not None:
        out["data"] = error.data
    return out


def bad_output(text: str) -> WireError:
    """The upstream answered with something that this request must not be answered with."""
    return WireError(code=INTERNAL_ERROR, message=text, data={"code": Code.BAD_OUTPUT.value, "reason": text})


def _code_of(error: WireError) -> Code | None:
    if not isinstance(error.data, Mapping):
        return None
    try:
        return Code(str(error.data.get("code")))
    except ValueError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not json")
