"""Answers by webhook: `POST /approvals/hooks/NAME`. Nothing of a body is parsed before its signature held."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import orjson

from toolward.doors.admin import status_of
from toolward.doors.mcp.boundary import HostGuard, fold_headers
from toolward.doors.mcp.channel import send_bytes
from toolward.doors.mcp.messages import read_body
from toolward.doors.mcp.wire import Receive, Refusal, Scope, Send
from toolward.errors import PolicyError, Reason, Rejected, ToolwardError
from toolward.errors import ReasonCode as Code
from toolward.governance.webhooks.incoming import Incoming
from toolward.kernel.gateway import Gateway

ROOT: Final = "/approvals/hooks/"
BODY_BYTES_MAX: Final = 64 * 1024


class HooksDoor:
    """ASGI application. What is forged, stale, replayed or nobody's is refused alike, and on record."""

    def __init__(self, incoming: Incoming, gateway: Gateway, guard: HostGuard) -> None:
        self._incoming = incoming
        self._gateway = gateway
        self._guard = guard

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path is this door's."""
        return path.startswith(ROOT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One answer."""
        try:
            state = await self._answer(scope, receive)
        except Refusal as refusal:
            await _send(send, refusal.status, {"error": refusal.reason.as_json()})
        except ToolwardError as error:
            await _send(send, status_of(error), {"error": error.reason.as_json()})
        else:
            await _send(send, HTTPStatus.OK, {"state": state})

    async def _answer(self, scope: Scope, receive: Receive) -> str:
        if scope["method"] != "POST":
            reason = Reason(code=Code.UNKNOWN_METHOD, text="answers are posted")
            raise Refusal(reason, status=HTTPStatus.METHOD_NOT_ALLOWED)
        headers = fold_headers(scope["headers"])
        self._guard.check(headers)
        body = await read_body(receive, headers.get(b"content-length"), BODY_BYTES_MAX)
        name: str = scope["path"][len(ROOT) :]
        try:
            row = await self._incoming.answer(name, headers, body)
        except (Rejected, PolicyError) as error:
            # a name that nobody configured could be anything, so it does not go into the record
            await self._gateway.record_sign_in_failure(error.reason, "webhook")
            raise
        return str(row["state"])


async def _send(send: Send, status: int, body: object) -> None:
    headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
    await send_bytes(send, int(status), orjson.dumps(body), headers)
