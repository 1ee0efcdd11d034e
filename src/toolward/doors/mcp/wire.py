"""Names and numbers of the MCP wire, both eras, and the one exception that ends a request early.

Sources: MCP specification 2025-11-25 and 2026-07-28, JSON-RPC 2.0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from toolward.errors import Reason, ToolwardError
from toolward.errors import ReasonCode as Code
from toolward.model.call import Action

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Json = dict[str, Any]
RequestId = str | int

HANDSHAKE_VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Newest first. The oldest one knew no streamable HTTP, but stdio clients still speak it."""
STATELESS_VERSIONS: Final = ("2026-07-28",)
PRIMING_VERSION: Final = "2025-11-25"
"""Older clients can not read an event without data, so only these get one to resume from."""

PROTOCOL_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_KEY: Final = "io.modelcontextprotocol/logLevel"
SERVER_INFO_KEY: Final = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_ID_KEY: Final = "io.modelcontextprotocol/subscriptionId"
RECEIPT_KEY: Final = "dev.toolward/receipt"
DENIAL_KEY: Final = "dev.toolward/denial"

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

STATELESS_STATUS: Final[Mapping[int, int]] = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""HTTP status of a JSON-RPC error in the stateless era; any other code travels with 200."""

HANDSHAKE_ACTIONS: Final[Mapping[str, Action]] = {
    action.value: action
    for action in Action
    if action not in {Action.SAMPLE, Action.ELICIT, Action.LIST_ROOTS}
}
STATELESS_ACTIONS: Final[Mapping[str, Action]] = {
    method: action
    for method, action in HANDSHAKE_ACTIONS.items()
    if action not in {Action.SUBSCRIBE, Action.UNSUBSCRIBE, Action.SET_LOG_LEVEL}
}
NAMED_BY: Final[Mapping[Action, str]] = {
    Action.CALL_TOOL: "name",
    Action.GET_PROMPT: "name",
    Action.READ_RESOURCE: "uri",
}
"""The parameter that `Mcp-Name` repeats; also the methods that may answer `input_required`."""
CAPABILITY_OF: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Refusal(Exception):
    """The request ends here with this answer. Raised and caught inside the door only."""

    def __init__(
        self,
        reason: Reason,
        *,
        status: int,
        rpc_code: int = INVALID_REQUEST,
        request_id: RequestId | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """`data` goes beside the reason into the JSON-RPC error's `data`."""
        super().__init__(reason.text)
        self.reason = reason
        self.status = status
        self.rpc_code = rpc_code
        self.request_id = request_id
        self.data = data

    def message(self) -> Json:
        """The JSON-RPC error message; its id is null where none could be read."""
        data = {**self.reason.as_json(), **(self.data or {})}
        error = {"code": self.rpc_code, "message": self.reason.sentence(), "data": data}
        return {"jsonrpc": "2.0", "id": self.request_id, "error": error}


def refusal_from(
    error: ToolwardError, *, status: int, rpc_code: int, request_id: RequestId | None = None
) -> Refusal:
    """The refusal that carries an error's own reason."""
    return Refusal(error.reason, status=status, rpc_code=rpc_code, request_id=request_id)


def malformed(
    text: str,
    *,
    remedy: str = "",
    rpc_code: int = INVALID_REQUEST,
    status: int = 400,
    request_id: RequestId | None = None,
) -> Refusal:
    """A refusal for a message that is not what the protocol says."""
    reason = Reason(code=Code.MALFORMED, text=text, remedy=remedy)
    return Refusal(reason, status=status, rpc_code=rpc_code, request_id=request_id)


def unknown_method(method: str, request_id: RequestId, *, status: int) -> Refusal:
    """A refusal for a method that this era, or this door, does not have."""
    reason = Reason(
        code=Code.UNKNOWN_METHOD, text=f"method not found: `{method}`", remedy="see the server's capabilities"
    )
    return Refusal(reason, status=status, rpc_code=METHOD_NOT_FOUND, request_id=request_id)
