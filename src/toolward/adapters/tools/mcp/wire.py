"""JSON-RPC 2.0 and the envelopes of the two MCP eras, as bytes and plain JSON values.

Nothing here models MCP's types: whole definitions and results pass as the JSON that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import ReasonCode
from toolward.model.call import Era, Failed, RawOutcome, Returned, Stopped

LATEST_HANDSHAKE: Final = "2025-11-25"
HANDSHAKE_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
STATELESS_VERSION: Final = "2026-07-28"

_PREFIX: Final = "io.modelcontextprotocol/"
META_VERSION: Final = _PREFIX + "protocolVersion"
META_CLIENT: Final = _PREFIX + "clientInfo"
META_CAPABILITIES: Final = _PREFIX + "clientCapabilities"
META_LOG_LEVEL: Final = _PREFIX + "logLevel"
META_SERVER: Final = _PREFIX + "serverInfo"
META_SUBSCRIPTION: Final = _PREFIX + "subscriptionId"
_ENVELOPE: Final = frozenset({META_VERSION, META_CLIENT, META_CAPABILITIES, META_LOG_LEVEL})

CLIENT_INFO: Final[Mapping[str, str]] = {"name": "toolward", "version": "0.1.0"}
ASKABLE: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a server may ask of a client, and the capability that the client declares for it."""

METHOD_NOT_FOUND: Final = -32601
INTERNAL_ERROR: Final = -32603
UNSUPPORTED_PROTOCOL: Final = -32022
SERVER_ERROR: Final = -32000
"""Our code where a server gave none."""


class Ended(Exception):
    """A request ended without an answer that could be returned; `outcome` says how."""

    def __init__(self, outcome: Failed | Stopped) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def failed(text: str, code: ReasonCode = ReasonCode.TOOL_UNREACHABLE) -> Ended:
    """Nothing was done."""
    return Ended(Failed(code=SERVER_ERROR, message=text, reason=code.value, from_server=False))


def stopped(text: str, code: ReasonCode) -> Ended:
    """It may have been done."""
    return Ended(Stopped(reason=code.value, message=text))


def request_json(request_id: int, method: str, params: bytes) -> bytes:
    """One request; `method` is one of ours, `params` is JSON."""
    return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}' % (request_id, method.encode(), params)


def notification_json(method: str, params: Mapping[str, Any]) -> bytes:
    """One notification."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params})


def result_json(request_id: Any, result: Mapping[str, Any]) -> bytes:
    """Our answer to a server's request."""
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_json(request_id: Any, code: int, message: str, data: Any = None) -> bytes:
    """Our refusal of a server's request."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": error})


def parse(raw: bytes) -> dict[str, Any] | None:
    """One JSON-RPC message, or None: not JSON (NaN and broken UTF-8 included), not an object, not 2.0."""
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return None
    return message


def is_answer(message: Mapping[str, Any]) -> bool:
    """Whether it is shaped as a response, well-formed or not."""
    return "method" not in message


def answers(message: Mapping[str, Any], request_id: int) -> bool:
    """Whether it answers exactly this request: `True` and `1.0` are not 1."""
    given = message.get("id")
    return type(given) is int and given == request_id


def params_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The params of a server's request or notification; what is not an object counts as none."""
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def outcome_of(message: Mapping[str, Any], size: int) -> RawOutcome:
    """What a response means.

    Neither or both of result and error, or a result that is no object: bad output.
    """
    if "error" in message and "result" not in message:
        error = message["error"]
        if isinstance(error, dict) and type(error.get("code")) is int:
            return Failed(
                code=error["code"],
                message=str(error.get("message", "")),
                reason=ReasonCode.TOOL_FAILED.value,
                data=error.get("data"),
            )
    elif "result" in message and "error" not in message and isinstance(message["result"], dict):
        return Returned(result=message["result"], size_bytes=size)
    return Stopped(reason=ReasonCode.BAD_OUTPUT.value, message="the answer is not a JSON-RPC response")


def envelope(era: Era, meta: Mapping[str, Any], capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """The `_meta` of one request: the caller's, less what belongs to its own envelope, plus ours.

    `capabilities` are what may be declared for this request; only the stateless era carries them here.
    """
    out = {key: value for key, value in meta.items() if key not in _ENVELOPE}
    if era is Era.STATELESS:
        out[META_VERSION] = STATELESS_VERSION
        out[META_CLIENT] = CLIENT_INFO
        out[META_CAPABILITIES] = capabilities
        if META_LOG_LEVEL in meta:
            out[META_LOG_LEVEL] = meta[META_LOG_LEVEL]
    return out


def declared(capabilities: Mapping[str, Any], accepts: tuple[str, ...]) -> dict[str, Any]:
    """What the caller declared, less what the operator does not accept from this server."""
    if not accepts or not capabilities:
        return {}
    return {name: capabilities[name] for name in accepts if name in capabilities}
