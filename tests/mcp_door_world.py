"""A gateway without a corridor, and an in-process ASGI client: what the MCP door's tests are played with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from toolward.doors.mcp.door import McpDoor
from toolward.doors.mcp.settings import McpDoorSettings
from toolward.errors import AuditUnavailable, Reason, ReasonCode, Rejected, UnknownTool
from toolward.kernel.attempt import Attempt
from toolward.kernel.upstream.notices import Notices
from toolward.model.call import Action, Era, Reply, WireError
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import Session, SessionOrigin
from toolward.model.tool import Manifest, ToolVersion
from toolward.ports.identity import Credentials
from toolward.ports.upstream import Exchange, ServerDescription

ALICE = Principal(user="alice", agent="coder", credential="key-a", kind=CredentialKind.API_KEY)
BOB = Principal(user="bob", agent="coder", credential="key-b", kind=CredentialKind.API_KEY)
HOST = Principal(user="alice", agent="coder", credential="key-h", kind=CredentialKind.HOST)
RECEIPT = {"index": 7, "leafHash": "aGFzaA=="}
STATE_KEY = bytes(range(32))
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
Script = Callable[[Attempt, Exchange], Awaitable[Reply]]


class ManualClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def forward(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


class CountingIds:
    def __init__(self) -> None:
        self._next = itertools.count(1)

    def new(self) -> str:
        return f"id-{next(self._next)}"

    def token(self) -> str:
        return f"token-{next(self._next)}"


class KeyIdentity:
    """Two keys, and the operating system's user 1000 who is alice."""

    def authenticate(self, credentials: Credentials) -> Principal:
        if credentials.bearer == "alice":
            return ALICE
        if credentials.bearer == "bob":
            return BOB
        if credentials.bearer == "host":
            return HOST
        if credentials.os_uid is not None and not credentials.bearer:
            return ALICE
        raise Rejected("no such key", code=ReasonCode.UNAUTHENTICATED, remedy="send a bearer token")


def a_tool_version(schema: Mapping[str, Any]) -> ToolVersion:
    definition = orjson.dumps({"name": "t", "inputSchema": schema})
    return ToolVersion(
        server="s",
        name="t",
        definition=definition,
        definition_digest="sha256:d",
        binding="stdio x",
        manifest=Manifest(),
        digest="sha256:v",
    )


class FakeGateway:
    """Answers what the test wrote; remembers what it was asked."""

    def __init__(self) -> None:
        self.notices = Notices()
        self.attempts: list[Attempt] = []
        self.exchanges: list[Exchange] = []
        self.script: Script = self.echo
        self.sessions: dict[str, Session] = {}
        self.closed: list[str] = []
        self.failures: list[tuple[Reason, str]] = []
        self.unreadable: list[tuple[Principal, str, str, str]] = []
        self.audit_is_down = False
        self.version: ToolVersion | None = None
        self.capabilities: dict[str, Any] = {"tools": {"listChanged": True}, "tasks": {}}
        self._next = itertools.count(1)

    async def perform(self, attempt: Attempt, exchange: Exchange) -> Reply:
        self.attempts.append(attempt)
        self.exchanges.append(exchange)
        return await self.script(attempt, exchange)

    async def echo(self, attempt: Attempt, exchange: Exchange) -> Reply:
        del exchange
        if attempt.action is Action.CALL_TOOL:
            text = orjson.dumps(attempt.params.get("arguments", {})).decode()
            return ok({"content": [{"type": "text", "text": text}]})
        if attempt.action is Action.LIST_TOOLS:
            return ok({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
        return ok({})

    async def open_session(
        self,
        principal: Principal,
        origin: SessionOrigin,
        *,
        session_id: str = "",
        objective: str = "",
        prompt: str = "",
    ) -> Session:
        session = Session(
            session_id=session_id or f"session-{next(self._next)}",
            principal=principal,
            origin=origin,
            objective=objective,
            prompt=prompt,
            opened_ns=0,
            last_used_ns=0,
        )
        self.sessions[session.session_id] = session
        return session

    def session(self, session_id: str, principal: Principal) -> Session:
        session = self.sessions.get(session_id)
        if session is None or session.principal != principal:
            raise Rejected("no such session", code=ReasonCode.UNKNOWN_SESSION)
        return session

    async def idle_session(self, principal: Principal, client_instance: str) -> Session:
        name = f"idle {principal.credential} {client_instance}"
        return self.sessions.get(name) or await self.open_session(
            principal, SessionOrigin.IDLE, session_id=name
        )

    async def close_session(self, session_id: str) -> None:
        self.closed.append(session_id)
        self.sessions.pop(session_id, None)

    async def describe(self, server: str) -> ServerDescription:
        if server not in {"", "git"}:
            raise UnknownTool(f"no server `{server}`")
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE,),
            info={"name": "git-server", "version": "9"} if server else {},
            capabilities=self.capabilities,
            instructions="be kind",
        )

    def tool_version(self, server: str, name: str, principal: Principal) -> ToolVersion | None:
        del server, name
        return self.version

    async def record_unreadable(
        self, principal: Principal, reason: Reason, *, server: str, door: str
    ) -> None:
        if self.audit_is_down:
            raise AuditUnavailable("the disk is full")
        self.unreadable.append((principal, reason.code.value, server, door))

    async def record_sign_in_failure(self, reason: Reason, door: str) -> None:
        self.failures.append((reason, door))


def ok(result: Mapping[str, Any]) -> Reply:
    return Reply(call_id="c", result=result, receipt=RECEIPT)


def denied(code: ReasonCode, text: str = "no", remedy: str = "ask", rpc_code: int = -32001) -> Reply:
    reason = Reason(code=code, text=text, remedy=remedy)
    error = WireError(code=rpc_code, message=reason.sentence(), data=reason.as_json())
    return Reply(call_id="c", error=error, receipt=RECEIPT)


def answering(reply: Reply) -> Script:
    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        del attempt, exchange
        return reply

    return script


class Response:
    """One response as it arrives."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = b""
        self.complete = False
        self.grew = asyncio.Condition()

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def result(self) -> Any:
        return self.json["result"]

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type") == "text/event-stream"

    def events(self) -> list[dict[str, Any]]:
        """Each event's fields; `data` is parsed where there is some."""
        found = []
        for block in self.raw.decode().split("\n\n"):
            fields: dict[str, Any] = {}
            for line in block.split("\n"):
                name, colon, value = line.partition(":")
                if colon and name:
                    fields[name] = value.strip()
            if fields:
                if fields.get("data"):
                    fields["data"] = orjson.loads(fields["data"])
                found.append(fields)
        return found

    def messages(self) -> list[dict[str, Any]]:
        return [event["data"] for event in self.events() if event.get("data")]


class Running:
    """A request that is under way."""

    def __init__(self, door: McpDoor, scope: dict[str, Any], body: list[bytes]) -> None:
        self.response = Response()
        self._left = asyncio.Event()
        self._body = body
        self.task = asyncio.create_task(door(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            chunk = self._body.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._body)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "http.response.start":
            self.response.status = event["status"]
            self.response.headers = {k.decode(): v.decode() for k, v in event["headers"]}
        else:
            self.response.raw += event["body"]
            self.response.complete = not event.get("more_body", False)
        async with self.response.grew:
            self.response.grew.notify_all()

    def leave(self) -> None:
        """The client closes the connection."""
        self._left.set()

    async def until(self, holds: Callable[[Response], object]) -> Response:
        async with asyncio.timeout(5), self.response.grew:
            await self.response.grew.wait_for(lambda: holds(self.response))
        return self.response

    async def done(self) -> Response:
        async with asyncio.timeout(5):
            await self.task
        return self.response


class Client:
    """Speaks to a door as a program of one user would."""

    def __init__(self, door: McpDoor, *, token: str = "alice", path: str = "/mcp") -> None:
        self.door = door
        self.token = token
        self.path = path
        self.session = ""
        self.version = LEGACY
        self.uid: int | None = None

    def start(
        self,
        body: bytes | list[bytes] = b"",
        *,
        method: str = "POST",
        headers: Mapping[str, str | None] | None = None,
        twice: Mapping[str, str] | None = None,
        path: str = "",
    ) -> Running:
        sent: dict[str, str | None] = {
            "host": "127.0.0.1:8080",
            "authorization": f"Bearer {self.token}" if self.token else None,
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-session-id": self.session or None,
            **(headers or {}),
        }
        pairs = [(k.encode(), v.encode("latin-1")) for k, v in sent.items() if v is not None]
        pairs += [(k.encode(), v.encode()) for k, v in (twice or {}).items()]
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path or self.path,
            "headers": pairs,
            "client": ("127.0.0.1", 50000),
        }
        if self.uid is not None:
            scope["extensions"] = {"toolward": {"os_uid": self.uid}}
        return Running(self.door, scope, [body] if isinstance(body, bytes) else list(body))

    async def send(self, body: bytes | list[bytes] = b"", **options: Any) -> Response:
        return await self.start(body, **options).done()

    async def initialize(self, version: str = LEGACY, **capabilities: Any) -> Response:
        params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "t"}}
        response = await self.send(message("initialize", params))
        if response.status == 200:
            self.session = response.headers["mcp-session-id"]
        return response

    async def call(self, name: str = "echo", request_id: Any = 1, **arguments: Any) -> Response:
        return await self.send(call_body(name, request_id, **arguments))

    def start_modern(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        request_id: Any = 1,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> Running:
        params = dict(params or {})
        name = params.get("name") or params.get("uri")
        params["_meta"] = modern_meta() if meta is None else meta
        sent: dict[str, str | None] = {"mcp-protocol-version": MODERN, "mcp-method": method}
        if name and method in {"tools/call", "prompts/get", "resources/read"}:
            sent["mcp-name"] = str(name)
        return self.start(message(method, params, request_id), headers={**sent, **(headers or {})}, **options)

    async def modern(self, method: str, params: Mapping[str, Any] | None = None, **options: Any) -> Response:
        return await self.start_modern(method, params, **options).done()


def modern_meta(**capabilities: Any) -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }


def message(method: str, params: Mapping[str, Any] | None = None, request_id: Any = 1) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params or {}})


def call_body(name: str, request_id: Any = 1, **arguments: Any) -> bytes:
    return message("tools/call", {"name": name, "arguments": arguments}, request_id)


def notification(method: str, params: Mapping[str, Any] | None = None) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}})


class World:
    """A door in front of a fake gateway."""

    def __init__(self, **settings: Any) -> None:
        self.gateway = FakeGateway()
        self.clock = ManualClock()
        self.settings = McpDoorSettings(**{"state_key": STATE_KEY, "watch_after_s": 0, **settings})
        self.door = McpDoor(
            self.gateway, KeyIdentity(), clock=self.clock, ids=CountingIds(), settings=self.settings
        )

    def client(self, token: str = "alice", path: str = "/mcp") -> Client:
        return Client(self.door, token=token, path=path)

    async def opened(self, token: str = "alice", path: str = "/mcp", **capabilities: Any) -> Client:
        client = self.client(token, path)
        await client.initialize(**capabilities)
        return client
