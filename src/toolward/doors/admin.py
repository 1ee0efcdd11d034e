"""The desk over HTTP: `POST /admin/<verb>` with the parameters as a JSON object, and `GET /health`.

Who asks is a person's credential (`Authorization: Bearer`) or, on the Unix socket, the operating system's
user; an agent's key opens the MCP door only. A result is `{"result": …}`, a refusal `{"error": {"code", …}}`
with a fitting status. Raw ASGI, so that the daemon needs no framework to answer its own command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from toolward.doors.mcp.boundary import Headers, HostGuard, check_media_types, fold_headers
from toolward.doors.mcp.channel import Extra, send_bytes
from toolward.doors.mcp.messages import read_body
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.wire import Receive, Refusal, Scope, Send
from toolward.errors import (
    CallerError,
    GatewayError,
    PolicyError,
    Reason,
    Rejected,
    ToolwardError,
    UpstreamError,
    WardError,
)
from toolward.errors import ReasonCode as Code
from toolward.governance.desk import Desk, invoke
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.identity import Credentials, Identity
from toolward.rules.canonical import parse_strict

HEALTH: Final = "/health"
ADMIN: Final = "/admin/"
PARAMETERS_BYTES_MAX: Final = 16 * 1024 * 1024
"""An approval of every tool of a large ward fits; a call's arguments have their own, smaller limit."""
_STATUS: Final[Mapping[Code, int]] = {
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.UNKNOWN_METHOD: HTTPStatus.NOT_FOUND,
    Code.UNKNOWN_TOOL: HTTPStatus.NOT_FOUND,
    Code.UNKNOWN_SESSION: HTTPStatus.NOT_FOUND,
    Code.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
_STOPPED: Final = Reason(
    code=Code.GATEWAY_UNAVAILABLE,
    text="the gateway was stopped before this was done",
    remedy="start it with `toolward up`, and look at what was done before you ask for it again",
)
_NOT_AT_THE_DESK: Final = frozenset({CredentialKind.API_KEY, CredentialKind.UNSAFE_ANONYMOUS})


class AdminDoor:
    """ASGI application beside the MCP door, on the same listeners."""

    def __init__(self, desk: Desk, identity: Identity, *, settings: McpDoorSettings) -> None:
        self._desk = desk
        self._identity = identity
        self._guard = HostGuard(settings)

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path is this door's."""
        return path == HEALTH or path.startswith(ADMIN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request; every failure is answered as JSON."""
        if scope["path"] == HEALTH:
            await self._health(scope, send)
            return
        try:
            result = await self._answer(scope, receive)
        except Refusal as refusal:
            await _send_error(send, refusal.status, refusal.reason)
        except ToolwardError as error:
            await _send_error(send, status_of(error), error.reason)
        except asyncio.CancelledError:
            # only a stop cancels: whoever waits is told that, and what is under way ends here
            await _send_error(send, HTTPStatus.SERVICE_UNAVAILABLE, _STOPPED)
            raise
        except Exception:
            # the outermost edge: the caller is told nothing of a bug, the daemon's log all of it
            reason = Reason(
                code=Code.INTERNAL,
                text="the gateway failed",
                remedy="see what the daemon wrote to its terminal or log",
            )
            await _send_error(send, HTTPStatus.INTERNAL_SERVER_ERROR, reason)
            raise
        else:
            await _send(send, HTTPStatus.OK, {"result": result})

    async def _answer(self, scope: Scope, receive: Receive) -> Any:
        headers = fold_headers(scope["headers"])
        peer = (scope.get("extensions") or {}).get("toolward")
        os_uid: int | None = peer["os_uid"] if peer else None
        if os_uid is None:
            self._guard.check(headers)  # no web page reaches a Unix socket
        if scope["method"] != "POST":
            raise Refusal(
                Reason(code=Code.UNKNOWN_METHOD, text="the desk takes POST only"),
                status=HTTPStatus.METHOD_NOT_ALLOWED,
            )
        principal = await self._sign_in(headers, os_uid)
        check_media_types(headers)
        body = await read_body(receive, headers.get(b"content-length"), PARAMETERS_BYTES_MAX)
        parameters = parse_strict(body, bytes_max=PARAMETERS_BYTES_MAX) if body else {}
        if not isinstance(parameters, dict):
            raise Rejected("the parameters are not a json object", remedy="send an object, `{}` if none")
        return await invoke(self._desk, scope["path"][len(ADMIN) :], parameters, principal)

    async def _sign_in(self, headers: Headers, os_uid: int | None) -> Principal:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        try:
            # a bearer token that was shown decides alone: a bad one is no sign-in by socket
            principal = self._identity.authenticate(
                Credentials(bearer=bearer, os_uid=None if bearer else os_uid)
            )
            if principal.kind in _NOT_AT_THE_DESK:
                raise Rejected(
                    "the desk is for people, not for an agent's key",
                    code=Code.UNAUTHENTICATED,
                    remedy="use a person's credential; `toolward init` made one",
                )
        except CallerError as error:
            await self._desk.gateway.record_sign_in_failure(error.reason, "admin")
            raise
        return principal

    async def _health(self, scope: Scope, send: Send) -> None:
        """Says no more than whether: whoever probes needs no credential."""
        if scope["method"] not in {"GET", "HEAD"}:
            await _send(send, HTTPStatus.METHOD_NOT_ALLOWED, {}, ((b"allow", b"GET, HEAD"),))
            return
        reason = self._desk.gateway.health()
        if reason is None:
            await _send(send, HTTPStatus.OK, {"healthy": True})
        else:
            await _send(send, HTTPStatus.SERVICE_UNAVAILABLE, {"healthy": False, "code": reason.code.value})


def status_of(error: ToolwardError) -> int:
    """The HTTP status that says whose fault it is."""
    known = _STATUS.get(error.reason.code)
    if known is not None:
        return known
    match error:
        case CallerError():
            return HTTPStatus.BAD_REQUEST
        case PolicyError():
            return HTTPStatus.FORBIDDEN
        case WardError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case UpstreamError():
            return HTTPStatus.BAD_GATEWAY
        case GatewayError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR


async def _send_error(send: Send, status: int, reason: Reason) -> None:
    extra: Extra = ()
    if status == HTTPStatus.UNAUTHORIZED:
        extra = ((b"www-authenticate", b'Bearer realm="toolward"'),)
    await _send(send, status, {"error": reason.as_json()}, extra)


async def _send(send: Send, status: int, body: Mapping[str, Any], extra: Extra = ()) -> None:
    headers = (
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    )
    await send_bytes(send, int(status), orjson.dumps(body), headers)
