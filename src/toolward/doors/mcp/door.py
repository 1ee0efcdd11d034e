"""The MCP door: one ASGI application, both eras, the aggregated endpoint and one endpoint for each server.

It turns wire bytes into an `Attempt` and a `Reply` into wire bytes, and nothing else: who may do what is
decided in the corridor. Order of what can go wrong: path, host and origin, identity, media types, body, era.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from toolward.doors.mcp.boundary import Headers, HostGuard, check_media_types, fold_headers
from toolward.doors.mcp.channel import Extra, send_json, send_status
from toolward.doors.mcp.corridor import Corridor
from toolward.doors.mcp.handshake import Handshake
from toolward.doors.mcp.messages import Message, Request, parse_message, read_body
from toolward.doors.mcp.sealing import StateSealer
from toolward.doors.mcp.sessions import McpSessions
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.doors.mcp.stateless.era import Stateless, unsupported_version
from toolward.doors.mcp.visit import Shared, Visit
from toolward.doors.mcp.wire import (
    HANDSHAKE_VERSIONS,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PROTOCOL_VERSION_KEY,
    STATELESS_VERSIONS,
    Receive,
    Refusal,
    RequestId,
    Scope,
    Send,
    refusal_from,
)
from toolward.errors import CallerError, PolicyError, Reason, Rejected, ToolwardError
from toolward.errors import ReasonCode as Code
from toolward.kernel.tasks import Background
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.clock import Clock
from toolward.ports.identity import Credentials, Identity
from toolward.ports.ids import Ids

DENIED_ERROR = -32001
"""JSON-RPC code of a denial that is no tool result; the kernel uses the same."""
UNAVAILABLE_ERROR = -32003
"""JSON-RPC code of what the gateway itself can not do at the moment; the kernel uses the same."""
_HANDSHAKE = frozenset(version.encode() for version in HANDSHAKE_VERSIONS)
_STATELESS = frozenset(version.encode() for version in STATELESS_VERSIONS)
_ALLOW: Mapping[bool, Extra] = {
    False: ((b"allow", b"GET, POST, DELETE"),),
    True: ((b"allow", b"POST"),),
}


class McpDoor:
    """ASGI application, for uvicorn with `lifespan="off"` and `doors.uvicorn_protocol.DoorProtocol`."""

    def __init__(
        self, gateway: Corridor, identity: Identity, *, clock: Clock, ids: Ids, settings: McpDoorSettings
    ) -> None:
        self._gateway = gateway
        self._identity = identity
        self._settings = settings
        self._guard = HostGuard(settings)
        self._background = Background(_report)
        shared = Shared(
            gateway=gateway,
            clock=clock,
            ids=ids,
            settings=settings,
            sessions=McpSessions(gateway, settings, clock=clock),
            sealer=StateSealer(settings.state_key, settings.state_ttl_s, clock=clock, ids=ids),
            background=self._background,
        )
        self._handshake = Handshake(shared)
        self._stateless = Stateless(shared)

    def serves(self, path: str) -> bool:
        """Whether a path is this door's, for whoever mounts several doors on one listener."""
        return _server_of(path) is not None

    async def close(self) -> None:
        """Stop the door's own watching tasks."""
        self._background.cancel()
        await self._background.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request; every failure is answered as JSON-RPC."""
        if scope["type"] != "http":
            raise RuntimeError('the mcp door serves http only: run uvicorn with lifespan="off"')
        server = _server_of(scope["path"])
        if server is None:
            await send_status(send, 404)
            return
        started = _Started(send)
        try:
            await self._answer(scope, receive, started.send, server)
        except Refusal as refusal:
            await self._refuse(started, refusal)
        except ToolwardError as error:
            await self._refuse(started, _refusal_of(error))
        except Exception:
            # the outermost edge: the caller is told nothing of a bug, the server's log all of it
            reason = Reason(
                code=Code.INTERNAL, text="the gateway failed; nothing more is known to the caller"
            )
            await self._refuse(started, Refusal(reason, status=500, rpc_code=INTERNAL_ERROR))
            raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send, server: str) -> None:
        extensions = scope.get("extensions")
        peer = extensions.get("toolward") if extensions else None
        os_uid: int | None = peer["os_uid"] if peer else None
        try:
            headers = fold_headers(scope["headers"])
            if os_uid is None:
                self._guard.check(headers)  # no web page reaches a Unix socket
            principal = self._sign_in(headers, os_uid)
        except Refusal as refusal:
            await self._gateway.record_sign_in_failure(refusal.reason, "http" if os_uid is None else "unix")
            raise
        client = scope.get("client")
        visit = Visit(
            headers,
            receive,
            send,
            server,
            principal,
            client[0] if os_uid is None and client else "unix",
            headers.get(b"x-toolward-stdio", b"").decode("latin-1") if os_uid is not None else "",
        )
        try:
            await self._serve(visit, scope["method"])
        except Refusal as refusal:
            await self._gateway.record_unreadable(principal, refusal.reason, server=server, door=visit.door)
            raise

    async def _serve(self, visit: Visit, method: str) -> None:
        headers = visit.headers
        if method == "POST":
            await self._post(visit)
        elif headers.get(b"mcp-protocol-version") in _STATELESS or method not in {"GET", "DELETE"}:
            modern = headers.get(b"mcp-protocol-version") in _STATELESS
            await send_status(visit.send, 405, _ALLOW[modern])
        elif method == "GET":
            await self._handshake.get(visit)
        elif visit.connection and b"mcp-session-id" not in headers:
            await self._stateless.end_connection(visit)
        else:
            await self._handshake.delete(visit)

    async def _post(self, visit: Visit) -> None:
        headers = visit.headers
        may_stream = check_media_types(headers)
        body = await read_body(visit.receive, headers.get(b"content-length"), self._settings.body_bytes_max)
        message = parse_message(body)
        if _is_stateless(message, headers.get(b"mcp-protocol-version")):
            era = self._stateless.post
        else:
            era = self._handshake.post
        try:
            await era(visit, message, may_stream=may_stream)
        except ToolwardError as error:
            raise _refusal_of(error, _id_of(message)) from error
        except Refusal as refusal:
            if refusal.request_id is None:
                refusal.request_id = _id_of(message)
            raise

    def _sign_in(self, headers: Headers, os_uid: int | None) -> Principal:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        try:
            # a bearer token that was shown decides alone: a bad one is no sign-in by socket
            principal = self._identity.authenticate(
                Credentials(bearer=bearer, os_uid=None if bearer else os_uid)
            )
            if principal.kind is CredentialKind.HOST:
                raise Rejected(
                    "a host's key makes no calls", code=Code.UNAUTHENTICATED, remedy="use the agent's own key"
                )
        except CallerError as error:
            raise refusal_from(error, status=401, rpc_code=DENIED_ERROR) from error
        return principal

    @staticmethod
    async def _refuse(started: _Started, refusal: Refusal) -> None:
        if started.yes:  # too late to say anything but the end
            return
        extra: Extra = ()
        if refusal.status == 401:  # noqa: PLR2004 -- RFC 9110, 15.5.2
            extra = ((b"www-authenticate", b'Bearer realm="toolward"'),)
        await send_json(started.send, refusal.status, refusal.message(), extra)


class _Started:
    """Remembers whether a response has begun."""

    __slots__ = ("_send", "yes")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.yes = False

    def send(self, event: MutableMapping[str, Any]) -> Awaitable[None]:
        """ASGI's send."""
        self.yes = True
        return self._send(event)


@lru_cache(maxsize=1_024)
def _server_of(path: str) -> str | None:
    """A server's name for its own endpoint, nothing for the aggregated one, None for what is no endpoint."""
    if path == "/mcp":
        return ""
    if path.startswith("/servers/") and path.endswith("/mcp"):
        name = path[len("/servers/") : -len("/mcp")]
        if name and "/" not in name:
            return name
    return None


def _is_stateless(message: Message, version: bytes | None) -> bool:
    """Which era a message belongs to: by its header, by its `_meta` where it has none."""
    if version is not None:
        version = version.strip(b" \t")
        if version in _HANDSHAKE:
            return False
        if version in _STATELESS:
            return True
    meta = None if type(message) is not Request else message.params.get("_meta")
    if type(meta) is dict and PROTOCOL_VERSION_KEY in meta:
        return True
    if version is not None:
        raise unsupported_version(version.decode("latin-1"), _id_of(message))
    return False


def _id_of(message: Message) -> RequestId | None:
    return message.request_id if type(message) is Request else None


def _refusal_of(error: ToolwardError, request_id: RequestId | None = None) -> Refusal:
    if error.reason.code is Code.UNKNOWN_SESSION or error.reason.code is Code.UNKNOWN_TOOL:
        return refusal_from(error, status=404, rpc_code=INVALID_REQUEST, request_id=request_id)
    if isinstance(error, CallerError):
        return refusal_from(error, status=400, rpc_code=INVALID_PARAMS, request_id=request_id)
    if isinstance(error, PolicyError):
        return refusal_from(error, status=403, rpc_code=DENIED_ERROR, request_id=request_id)
    return refusal_from(error, status=503, rpc_code=UNAVAILABLE_ERROR, request_id=request_id)


def _report(error: BaseException) -> None:
    context = {"message": "a task of the mcp door failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
