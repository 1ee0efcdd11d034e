"""The caller's side of one running call, as the upstream may use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from toolward.adapters.tools.mcp.wire import (
    ASKABLE,
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
    error_json,
    params_of,
    result_json,
)
from toolward.errors import ReasonCode, ToolwardError
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange, UpstreamHooks

_PROGRESS: Final = "notifications/progress"


class CallerSide:
    """Gives the caller what belongs to its call, and asks it only through the kernel.

    The progress token that the upstream sees is the id of our request, so that two callers who chose the
    same token never hear of each other's work; the caller's own token is put back here.
    """

    __slots__ = ("_exchange", "_hooks", "_permit", "_token", "session_id")

    def __init__(self, permit: Permit, exchange: Exchange, hooks: UpstreamHooks) -> None:
        self._permit = permit
        self._exchange = exchange
        self._hooks = hooks
        self._token = permit.labelled.call.meta.get("progressToken")
        self.session_id = permit.labelled.call.session.session_id

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass on a notification; progress that the caller did not ask for is dropped."""
        if method == _PROGRESS:
            if self._token is None:
                return
            params = {**params, "progressToken": self._token}
        await self._exchange.notify(method, params)

    async def answer(self, message: Mapping[str, Any]) -> bytes:
        """The JSON-RPC answer to a server's request. What may be asked is the kernel's to decide."""
        request_id, method, params = message["id"], message["method"], params_of(message)
        if method == "ping":
            return result_json(request_id, {})
        if method not in ASKABLE or self._hooks.on_request is None:
            return refusal(request_id, method)
        try:
            result = await self._hooks.on_request(self._permit, method, params, self._exchange)
        except ToolwardError as refused:
            reason = refused.reason
            absent = reason.code is ReasonCode.REQUEST_NOT_ACCEPTED
            code = METHOD_NOT_FOUND if absent else SERVER_ERROR
            return error_json(request_id, code, reason.sentence(), reason.as_json())
        return result_json(request_id, result)


def refusal(request_id: Any, method: str) -> bytes:
    """The answer to a request that nobody here takes."""
    return error_json(request_id, METHOD_NOT_FOUND, f"`{method[:64]}` is not accepted by this client")


def no_answer(request_id: Any) -> bytes:
    """The answer when ours could not be made."""
    return error_json(request_id, INTERNAL_ERROR, "the request could not be answered")
