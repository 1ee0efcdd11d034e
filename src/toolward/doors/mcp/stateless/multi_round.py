"""`input_required`: a stateless server asks by answering, and the client retries with what was asked for.

Source: MCP 2026-07-28, SEP-2322. Only `tools/call`, `prompts/get` and `resources/read` may be answered so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from toolward.doors.mcp.exchange import is_declared
from toolward.doors.mcp.messages import Request
from toolward.doors.mcp.replies import bad_output
from toolward.doors.mcp.sealing import Place, StateSealer, is_own
from toolward.doors.mcp.stateless.waiting import Waited, open_own
from toolward.doors.mcp.visit import Visit
from toolward.doors.mcp.wire import (
    CAPABILITY_OF,
    CLIENT_CAPABILITIES_KEY,
    MISSING_CAPABILITY,
    NAMED_BY,
)
from toolward.errors import ReasonCode as Code
from toolward.model.call import Action, Reply, WireError

INPUT_REQUIRED = "input_required"


def open_state(
    sealer: StateSealer, visit: Visit, action: Action, request: Request, session_id: str
) -> tuple[Mapping[str, Any], Waited | None]:
    """The params as the upstream may have them, and what the client has done about an approval.

    Raises `Refusal` if the state that is shown was not sealed for this request.
    """
    params = request.params
    if action not in NAMED_BY or "requestState" not in params:
        return params, None
    shown = params["requestState"]
    if is_own(shown):
        return open_own(sealer.unseal(shown, _place(visit, action, request, session_id)), params)
    return {**params, "requestState": sealer.unseal(shown, _place(visit, action, request))}, None


def seal_result(sealer: StateSealer, visit: Visit, action: Action, request: Request, reply: Reply) -> Reply:
    """The reply with its state sealed; an error in its place if this client must not be asked that."""
    result = reply.result
    if result is None or result.get("resultType") != INPUT_REQUIRED:
        return reply
    if action not in NAMED_BY:
        return replace(reply, result=None, error=bad_output("the server asked for input where it must not"))
    missing = _undeclared(result, request.params["_meta"][CLIENT_CAPABILITIES_KEY])
    if missing:
        return replace(reply, result=None, error=_missing_capability(missing))
    state = result.get("requestState")
    if state is None:
        return reply
    if not isinstance(state, str):
        return replace(reply, result=None, error=bad_output("the server's `requestState` is not a string"))
    sealed = sealer.seal(state, _place(visit, action, request))
    return replace(reply, result={**result, "requestState": sealed})


def _undeclared(result: Mapping[str, Any], capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Capabilities that would be needed to answer, as the error's data wants them."""
    missing: dict[str, Any] = {}
    requests = result.get("inputRequests")
    for asked in requests.values() if isinstance(requests, Mapping) else ():
        method = str(asked.get("method", "")) if isinstance(asked, Mapping) else ""
        params = asked.get("params") if isinstance(asked, Mapping) else None
        params = params if isinstance(params, Mapping) else {}
        if not is_declared(method, params, capabilities):
            url_mode = method == "elicitation/create" and params.get("mode") == "url"
            missing[CAPABILITY_OF.get(method, method)] = {"url": {}} if url_mode else {}
    return missing


def _missing_capability(missing: dict[str, Any]) -> WireError:
    text = f"the server asks for what the client did not declare: {', '.join(sorted(missing))}"
    return WireError(
        code=MISSING_CAPABILITY,
        message=text,
        data={"code": Code.REQUEST_NOT_ACCEPTED.value, "reason": text, "requiredCapabilities": missing},
        http_status=400,
    )


def seal_own(sealer: StateSealer, visit: Visit, request: Request, session_id: str, state: str) -> str:
    """The gateway's own state for a tool call that waits in this session."""
    return sealer.seal(state, _place(visit, Action.CALL_TOOL, request, session_id))


def _place(visit: Visit, action: Action, request: Request, session_id: str = "") -> Place:
    return Place(visit.principal, visit.server, request, str(request.params[NAMED_BY[action]]), session_id)
