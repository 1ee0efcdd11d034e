"""The port `Upstreams` for MCP servers."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from typing_extensions import override

from toolward.adapters.tools.mcp.caller import CallerSide
from toolward.adapters.tools.mcp.link import Link, Request
from toolward.adapters.tools.mcp.listing import all_tools
from toolward.adapters.tools.mcp.making import Workshop
from toolward.adapters.tools.mcp.mirrored import NAMED_BY, mirrored_headers, mirrored_of
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.adapters.tools.mcp.server import Server
from toolward.adapters.tools.mcp.stdio.programs import program_digest
from toolward.adapters.tools.mcp.tasks import Tasks
from toolward.adapters.tools.mcp.wire import META_LOG_LEVEL, SERVER_ERROR, Ended, declared, envelope
from toolward.config.limits import OUTPUT_BYTES_MAX
from toolward.errors import InvariantBroken, ReasonCode, ToolFailed, ToolwardError, UnknownTool
from toolward.model.call import Action, Call, Era, Failed, Intent, RawOutcome, ResolvedCall, Returned, Stopped
from toolward.model.capability import IsolationReport, Kept
from toolward.model.permit import Permit
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.cages import Cages
from toolward.ports.clock import Clock
from toolward.ports.egress import Connector
from toolward.ports.ids import Ids
from toolward.ports.secrets import Secrets
from toolward.ports.upstream import Exchange, InForce, ServerDescription, UpstreamHooks, Upstreams

_VERSIONS_KEPT: Final = 10_000
_REFUSED: Final = frozenset({ReasonCode.EGRESS_DENIED.value, ReasonCode.AUDIT_UNAVAILABLE.value})
"""Why a connection was not even tried."""


class McpUpstreams(Upstreams):
    """All MCP servers of a ward. Makes nothing until a server is first needed."""

    def __init__(  # noqa: PLR0913 -- one parameter for each port
        self,
        bindings: Sequence[ServerBinding],
        *,
        secrets: Secrets,
        clock: Clock,
        ids: Ids,
        hooks: UpstreamHooks,
        state_dir: Path,
        connector: Connector,
        cages: Cages,
        kept: Callable[[], Kept] = Kept,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hooks = hooks
        self._tls = tls
        self._mirrored: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {}
        self._retired: set[Server] = set()
        self._tasks = Tasks()
        self._workshop = Workshop(
            secrets=secrets,
            clock=clock,
            packages=Packages(state_dir, ids=ids, on_progress=self._progress),
            connector=connector,
            cages=cages,
            kept=kept,
            tls=self._trust,
        )
        self._servers: dict[str, Server] = {each.server: self._made(each) for each in bindings}

    # --- the port

    @override
    def names(self) -> tuple[str, ...]:
        return tuple(self._servers)

    @override
    async def describe(self, server: str) -> ServerDescription:
        """As the port says. The limit is the binding's `start_timeout_ms`; an installation has its own."""
        found = self._server(server)
        try:
            link, tools = await self._connected(found)
        except (Ended, TimeoutError) as no:
            why = str(no) if isinstance(no, Ended) else "it did not answer in time"
            raise ToolFailed(
                f"server `{server}` could not be described: {why}",
                code=_why_not(no),
                remedy="see that its command or URL works, and what it writes to stderr",
                details=(("stderr", found.stderr_tail()[-2000:]),) if found.stderr_tail() else (),
            ) from no
        return ServerDescription(
            server=server,
            eras=found.eras,
            info=link.hello.info,
            capabilities=link.hello.capabilities,
            instructions=link.hello.instructions,
            tools=tools,
            lock=found.lock_digest or await _program_digest(found.binding),
        )

    @override
    async def isolation(self, server: str) -> IsolationReport:
        return await self._server(server).isolation()

    @override
    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        resolved = permit.labelled.resolved
        call = resolved.call
        server = self._servers.get(resolved.upstream)
        if server is None:
            return _failure(f"no server `{resolved.upstream}` is configured", ReasonCode.TOOL_UNREACHABLE)
        capabilities = exchange.capabilities
        session_id = call.session.session_id
        link = server.open_link(session_id, exchange.era, capabilities)
        if link is None:
            opened = await _opened(server, session_id, exchange)
            if isinstance(opened, Failed):
                return opened
            link = opened
        if link.era is Era.STATELESS and (done := await _for_the_link(link, call)) is not None:
            return done
        request = self._request(link, permit, exchange, declared(capabilities, server.binding.accepts))
        outcome = await _answered(link, request, _timeout_ms(server.binding, resolved))
        if type(outcome) is Stopped:
            server.missed(link, outcome)
        elif link.missed:
            link.missed = 0
        return outcome

    @override
    def holds(self, kind: BindingKind) -> bool:
        return kind in {BindingKind.STDIO, BindingKind.HTTP}

    @override
    async def prepare(self, taken: Sequence[ServerBinding], dropped: Collection[str]) -> InForce:
        """As the port says. Nothing is started or installed before the server is first needed."""
        fresh = {each.server: self._made(each) for each in taken}

        def in_force() -> None:
            for name in (*dropped, *fresh):
                if (old := self._servers.pop(name, None)) is not None:
                    self._retired.add(old)
                    self._tasks.spawn(self._retire(old), f"stop what `{name}` was")
            self._servers.update(fresh)

        return in_force

    @override
    async def close_session(self, session_id: str) -> None:
        every = (*self._servers.values(), *self._retired)
        _ = await asyncio.gather(*(server.close_scope(session_id) for server in every))

    @override
    async def close(self) -> None:
        await self._tasks.close()
        _ = await asyncio.gather(*(server.close() for server in (*self._servers.values(), *self._retired)))

    # --- beyond the port

    def counts(self, server: str) -> Mapping[str, int]:
        """What was dropped, refused or stopped so far, by cause. Raises `UnknownTool`."""
        return dict(self._server(server).counts)

    def stderr_tail(self, server: str) -> str:
        """The last that the server's processes wrote to stderr, secrets redacted. Raises `UnknownTool`."""
        return self._server(server).stderr_tail()

    def lock_digest(self, server: str) -> str:
        """Digest of what was resolved for its package; "" before it was installed or when it has none."""
        return self._server(server).lock_digest

    # --- parts

    def _made(self, binding: ServerBinding) -> Server:
        server = binding.server
        return Server(
            binding,
            tools=self._workshop,
            heard=self._heard_of(server),
            restarted=self._restarted_of(server),
        )

    async def _retire(self, server: Server) -> None:
        """Stop it once the calls that it has are over."""
        await server.finish()
        self._retired.discard(server)

    def _server(self, name: str) -> Server:
        found = self._servers.get(name)
        if found is None:
            raise UnknownTool(f"no server `{name}` is configured", remedy="name one of the ward's servers")
        return found

    async def _connected(self, server: Server) -> tuple[Link, list[Mapping[str, Any]]]:
        await server.prepare()
        async with asyncio.timeout(server.binding.start_timeout_ms / 1000):
            link = await server.main()
            return link, await all_tools(link) if "tools" in link.hello.capabilities else []

    def _request(
        self, link: Link, permit: Permit, exchange: Exchange, capabilities: Mapping[str, Any]
    ) -> Request:
        resolved = permit.labelled.resolved
        call, version = resolved.call, resolved.version
        method = call.action
        request_id = link.next_id()
        meta = envelope(link.era, call.meta, capabilities)
        if "progressToken" in meta:
            meta["progressToken"] = request_id
        if link.log_level and link.era is Era.STATELESS:
            meta.setdefault(META_LOG_LEVEL, link.log_level)
        request = Request(
            request_id=request_id,
            method=method,
            params=_params(resolved, meta),
            output_max=version.manifest.output_bytes_max if version is not None else OUTPUT_BYTES_MAX,
            side=CallerSide(permit, exchange, self._hooks),
        )
        if link.era is Era.STATELESS and method in NAMED_BY:
            request.name = str(call.arguments.get("uri", "")) if NAMED_BY[method] == "uri" else resolved.name
            if version is not None:
                request.mirrored = mirrored_headers(
                    self._mirrored_of(version.digest, version.definition), call.arguments
                )
        return request

    def _mirrored_of(self, digest: str, definition: bytes) -> tuple[tuple[tuple[str, ...], str], ...]:
        found = self._mirrored.get(digest)
        if found is None:
            if len(self._mirrored) >= _VERSIONS_KEPT:
                self._mirrored.clear()
            found = self._mirrored[digest] = mirrored_of(definition)
        return found

    def _trust(self) -> ssl.SSLContext:
        """One context for all servers: making one costs 20 ms."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _progress(self, line: str) -> None:
        if self._hooks.on_progress is not None:
            self._hooks.on_progress(line)

    def _restarted_of(self, server: str) -> Any:
        def restarted() -> None:
            if self._hooks.events is not None:
                self._hooks.events.definitions_changed(server)

        return restarted

    def _heard_of(self, server: str) -> Any:
        def heard(scope: str, method: str, params: Mapping[str, Any]) -> None:
            if self._hooks.events is None:
                return
            if method == "notifications/tools/list_changed":
                self._hooks.events.definitions_changed(server)
            else:
                self._hooks.events.notification(server, scope, method, params)

        return heard


async def _program_digest(binding: ServerBinding) -> str:
    """Of the files that a `command` starts, as they are now; read beside the event loop."""
    if not binding.command:
        return ""
    return await asyncio.to_thread(program_digest, binding.command, os.environ.get("PATH", os.defpath))


async def _opened(server: Server, session_id: str, exchange: Exchange) -> Link | Failed:
    """Open the session's link; whatever goes wrong, the caller's request was not sent."""
    try:
        if server.binding.package and not server.lock_digest:
            await server.prepare()
        async with asyncio.timeout(server.binding.start_timeout_ms / 1000):
            return await server.link(session_id, exchange.era, exchange.capabilities)
    except Ended as ended:
        return _nothing_done(ended.outcome)
    except TimeoutError:
        text = f"server `{server.binding.server}` did not start in time"
        return _failure(text, ReasonCode.TOOL_UNREACHABLE)
    except ToolwardError as wrong:
        return _failure(wrong.reason.sentence(), wrong.reason.code)


def _why_not(no: Ended | TimeoutError) -> ReasonCode:
    """An outage, unless the egress control had its reasons."""
    if isinstance(no, Ended) and no.outcome.reason in _REFUSED:
        return ReasonCode(no.outcome.reason)
    return ReasonCode.TOOL_UNREACHABLE


def _timeout_ms(binding: ServerBinding, resolved: ResolvedCall) -> int:
    """What the tool's manifest says, else what the server's binding says."""
    return binding.timeout_ms if resolved.version is None else resolved.version.manifest.timeout_ms


async def _answered(link: Link, request: Request, timeout_ms: int) -> RawOutcome:
    """Send it and wait no longer than that. `asyncio.timeout` costs every call five times as much."""
    task = asyncio.current_task()
    if task is None:
        raise InvariantBroken("a call outside a task")
    cancelled_before, late = task.cancelling(), False

    def give_up() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, give_up)
    try:
        return await link.converse(request)
    except Ended as ended:
        return ended.outcome
    except asyncio.CancelledError:
        if not late or task.cancelling() - 1 > cancelled_before:  # somebody else wants it to end
            raise
        text = f"no answer within {timeout_ms} ms"
        if not request.written:
            return _failure(text, ReasonCode.TIMED_OUT)
        return Stopped(reason=ReasonCode.TIMED_OUT.value, message=text)
    finally:
        timer.cancel()
        if late:
            task.uncancel()


def _failure(text: str, code: ReasonCode) -> Failed:
    return Failed(code=SERVER_ERROR, message=text, reason=code.value, from_server=False)


def _nothing_done(outcome: Failed | Stopped) -> Failed:
    """A link that could not be opened: whatever stopped it, the caller's request was never sent."""
    if isinstance(outcome, Failed) and outcome.reason != ReasonCode.TOOL_FAILED.value:
        return outcome
    return Failed(
        code=SERVER_ERROR,
        message=f"the server could not be opened: {outcome.message}",
        reason=ReasonCode.TOOL_UNREACHABLE.value,
        from_server=isinstance(outcome, Failed) and outcome.from_server,
    )


async def _for_the_link(link: Link, call: Call) -> Returned | None:
    """Actions of the handshake era that the stateless era has no request for."""
    match call.action:
        case Action.SUBSCRIBE | Action.UNSUBSCRIBE:
            await link.subscribe(str(call.arguments.get("uri", "")), wanted=call.action is Action.SUBSCRIBE)
        case Action.SET_LOG_LEVEL:
            link.log_level = str(call.arguments.get("level", ""))
        case _:
            return None
    return Returned(result={}, size_bytes=2)


def _params(resolved: ResolvedCall, meta: Mapping[str, Any]) -> bytes:
    """The params of the request: what was judged, under the name that the upstream knows."""
    call = resolved.call
    params: dict[str, Any]
    if call.action is Action.CALL_TOOL:
        params = {"name": resolved.name, "arguments": orjson.Fragment(call.arguments_json)}
    elif not meta and not call.retry and call.action not in (Action.GET_PROMPT, Action.COMPLETE):
        return call.arguments_json or b"{}"
    else:
        params = dict(call.arguments)
        if call.action is Action.GET_PROMPT and resolved.name:
            params["name"] = resolved.name
        elif call.action is Action.COMPLETE and resolved.name:
            reference = params.get("ref")
            if isinstance(reference, Mapping) and reference.get("type") == "ref/prompt":
                params["ref"] = {**reference, "name": resolved.name}
    if call.retry:
        params.update(call.retry)
    if meta:
        params["_meta"] = meta
    return orjson.dumps(params)
