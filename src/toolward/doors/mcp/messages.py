"""One HTTP body to one JSON-RPC message, or a refusal that says what is wrong with it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from toolward.doors.mcp.wire import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    NAMED_BY,
    PARSE_ERROR,
    Json,
    Receive,
    Refusal,
    RequestId,
    malformed,
)
from toolward.errors import Reason, Rejected
from toolward.errors import ReasonCode as Code
from toolward.model.call import Action
from toolward.rules.canonical import parse_strict

_NOT_JSON = frozenset({Code.MALFORMED, Code.NOT_UNICODE, Code.NUMBER_OUT_OF_RANGE})
_OBJECTS_OF = {
    Action.CALL_TOOL: ("arguments",),
    Action.GET_PROMPT: ("arguments",),
    Action.COMPLETE: ("ref", "argument"),
}
_TEXTS_OF = {
    **NAMED_BY,
    Action.SUBSCRIBE: "uri",
    Action.UNSUBSCRIBE: "uri",
    Action.SET_LOG_LEVEL: "level",
}


class Request(Struct, frozen=True):
    """A message that is owed an answer."""

    request_id: RequestId
    method: str
    params: Json


class Notification(Struct, frozen=True):
    """A message that is owed none."""

    method: str
    params: Json


class Answer(Struct, frozen=True):
    """The client's answer to a question of ours: exactly one of the two is set."""

    request_id: RequestId
    result: Json | None
    error: Json | None


Message = Request | Notification | Answer


async def read_body(receive: Receive, declared: bytes | None, bytes_max: int) -> bytes:
    """The whole body, never more than `bytes_max` of it in memory. Raises `Refusal` (413; 400 if cut off)."""
    if declared is not None and (not declared.isdigit() or int(declared) > bytes_max):
        raise _too_large(bytes_max)
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise malformed("the body was cut off")
        chunk: bytes = event.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        if not event.get("more_body", False):
            if not chunks:
                return chunk
            chunks.append(chunk)
            return b"".join(chunks)
        chunks.append(chunk)


def parse_message(body: bytes) -> Message:
    """Parse strictly and once. Raises `Refusal` with the JSON-RPC code and our reason."""
    try:
        value = parse_strict(body)
    except Rejected as error:
        rpc_code = PARSE_ERROR if error.reason.code in _NOT_JSON else INVALID_REQUEST
        status = 413 if error.reason.code is Code.TOO_LARGE else 400
        raise Refusal(error.reason, status=status, rpc_code=rpc_code) from error
    if type(value) is not dict:
        what = "a batch" if isinstance(value, list) else "not an object"
        raise malformed(f"the body is {what}", remedy="send one json-rpc message for each request")
    request_id = _request_id(value)
    if value.get("jsonrpc") != "2.0":
        raise malformed('`jsonrpc` is not "2.0"', request_id=request_id)
    if "method" not in value:
        return _answer(value, request_id)
    method = value["method"]
    if type(method) is not str or "result" in value or "error" in value:
        raise malformed("the message is neither a request nor an answer", request_id=request_id)
    params = value.get("params", _NO_PARAMS)
    if type(params) is not dict:
        raise malformed("`params` is not an object", rpc_code=INVALID_PARAMS, request_id=request_id)
    if request_id is not None:
        return Request(request_id, method, params)
    if not method.startswith("notifications/"):
        raise malformed(f"`{method}` needs an id", remedy="send it as a request with an id")
    return Notification(method, params)


def check_params(action: Action, request: Request) -> None:
    """Raise `Refusal` (-32602) if what names the target is missing or of the wrong type."""
    params = request.params
    name = _TEXTS_OF.get(action)
    if name is not None and type(params.get(name)) is not str:
        raise _bad_param(request, f"`{name}` is missing or not a string")
    for name in _OBJECTS_OF.get(action, ()):
        value = params.get(name)
        if type(value) is not dict and not (name == "arguments" and name not in params):
            raise _bad_param(request, f"`{name}` is missing or not an object")
    if type(params.get("_meta", _NO_PARAMS)) is not dict:
        raise _bad_param(request, "`_meta` is not an object")


def _request_id(value: Json) -> RequestId | None:
    if "id" not in value:
        return None
    request_id = value["id"]
    if type(request_id) is int or type(request_id) is str:
        return request_id
    raise malformed("`id` is neither a string nor an integer")


def _answer(value: Json, request_id: RequestId | None) -> Answer:
    result: Any = value.get("result")
    error: Any = value.get("error")
    one_of_two = ("result" in value) != ("error" in value)
    if request_id is None or not one_of_two or type(error if result is None else result) is not dict:
        raise malformed("the message has no `method` and is no answer either", request_id=request_id)
    return Answer(request_id, result, error)


def _bad_param(request: Request, text: str) -> Refusal:
    return malformed(text, rpc_code=INVALID_PARAMS, request_id=request.request_id)


def _too_large(bytes_max: int) -> Refusal:
    reason = Reason(
        code=Code.TOO_LARGE,
        text=f"the body is larger than {bytes_max} bytes, or its length is not a number",
        remedy="send less in one call",
    )
    return Refusal(reason, status=413)


_NO_PARAMS: Json = {}
