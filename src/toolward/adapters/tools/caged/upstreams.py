"""`ports.upstream.Upstreams` for servers whose tools run per call, each call in a cage of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from typing_extensions import override

from toolward.adapters.tools.caged.functions import Function, call_job, read_functions
from toolward.adapters.tools.caged.modules import check_modules, module_job
from toolward.adapters.tools.caged.outcomes import NOT_RUN, outcome_of, refusal_of
from toolward.adapters.tools.mcp.packages.installing import Packages
from toolward.errors import Denied, ReasonCode, ToolFailed, ToolwardError, UnknownTool
from toolward.model.call import Action, Era, Failed, Intent, RawOutcome, Stopped
from toolward.model.capability import (
    OUTPUT_BYTES,
    WALL_MS,
    Capabilities,
    IsolationReport,
    Kept,
    Limits,
    Scope,
)
from toolward.model.egress import Whose
from toolward.model.permit import Permit
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind, Manifest, ToolVersion
from toolward.ports.cages import Cages
from toolward.ports.sandbox import CommandJob, Job
from toolward.ports.secrets import Secrets
from toolward.ports.upstream import Exchange, InForce, ServerDescription, Upstreams
from toolward.rules.capability import scope_of
from toolward.rules.command import command_line, definition_of


@dataclass(slots=True)
class _Server:
    """A server, and what was found out about it once. Another source is another server of that name."""

    binding: ServerBinding
    interpreter: str = ""
    lock_digest: str = ""
    functions: Mapping[str, Function] | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def identity(self) -> str:
        """What a version of its tools pins of it, once it was read."""
        return f"{self.binding.identity()} {self.lock_digest}".strip()


class CagedTools(Upstreams):
    """Functions of source files, commands, and modules of WebAssembly."""

    def __init__(
        self,
        bindings: Sequence[ServerBinding],
        *,
        cages: Cages,
        secrets: Secrets,
        packages: Packages,
        kept: Callable[[], Kept],
    ) -> None:
        self._servers = {each.server: _Server(each) for each in bindings if each.kind.per_call}
        self._cages = cages
        self._secrets = secrets
        self._packages = packages
        self._kept = kept

    @override
    def names(self) -> tuple[str, ...]:
        return tuple(self._servers)

    @override
    async def describe(self, server: str) -> ServerDescription:
        found = self._servers.get(server)
        if found is None:
            raise ToolFailed(f"no server `{server}` is configured", remedy="see toolward.yaml")
        if found.binding.kind is BindingKind.COMMANDS:
            tools = [definition_of(name, command) for name, command in found.binding.commands.items()]
        elif found.binding.kind is BindingKind.MODULES:
            await check_modules(found.binding, self._cages)
            tools = [definition_of(name, module) for name, module in found.binding.modules.items()]
        else:
            tools = [dict(each.definition) for each in (await self._read(found)).values()]
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE, Era.STATELESS),
            info={"name": server, "version": found.binding.kind.value},
            capabilities={"tools": {}},
            tools=tools,
            lock=found.lock_digest,
        )

    @override
    async def isolation(self, server: str) -> IsolationReport:
        found = self._servers.get(server)
        if found is None:
            raise UnknownTool(f"no server `{server}` is configured", remedy="name one of the ward's servers")
        return await self._cages.isolation(wasm=found.binding.kind is BindingKind.MODULES)

    @override
    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del intent, exchange
        call, resolved = permit.labelled.call, permit.labelled.resolved
        server = self._servers.get(resolved.upstream)
        if server is None or call.action is not Action.CALL_TOOL or resolved.version is None:
            return Failed(
                code=NOT_RUN,
                message="not a tool that runs per call",
                reason=ReasonCode.TOOL_FAILED.value,
                from_server=False,
            )
        arguments = orjson.loads(call.arguments_json)
        manifest = resolved.version.manifest
        try:
            await self._check_pinned(server, resolved.version)
            scope = self._scope(manifest, arguments)
            job = await self._job(server, resolved.name, arguments, scope)
            whose = Whose(resolved.server, call.session.session_id, call.call_id)
            ended = await self._cages.run(job, scope, whose=whose)
        except ToolwardError as no:
            return refusal_of(no)
        except OSError as error:
            return Stopped(
                reason=ReasonCode.UNKNOWN_OUTCOME.value, message=f"the cage failed: {error.strerror}"
            )
        json = server.binding.kind is BindingKind.MODULES
        return outcome_of(ended, output_bytes_max=scope.limits.output_bytes, json=json)

    @override
    async def close_session(self, session_id: str) -> None:
        """Nothing outlives its call."""

    @override
    async def close(self) -> None:
        """The cages are their owner's to close."""

    @override
    def holds(self, kind: BindingKind) -> bool:
        return kind.per_call

    @override
    async def prepare(self, taken: Sequence[ServerBinding], dropped: Collection[str]) -> InForce:
        """As the port says: a source that can not be read is seen beforehand, and nothing outlives a call."""
        fresh = {each.server: _Server(each) for each in taken}
        for server in fresh.values():
            if server.binding.kind is BindingKind.FUNCTIONS:
                _ = await self._read(server)
            elif server.binding.kind is BindingKind.MODULES:
                await check_modules(server.binding, self._cages)

        def in_force() -> None:
            for server in dropped:
                self._servers.pop(server, None)
            self._servers.update(fresh)

        return in_force

    # --- parts

    async def _check_pinned(self, server: _Server, version: ToolVersion) -> None:
        """Raises `Denied` where the source or command in force is not the one that was approved."""
        if server.binding.kind is BindingKind.FUNCTIONS:
            _ = await self._read(server)
        if version.binding != server.identity():
            raise Denied(
                f"{version.key} was changed while the call was on its way, so it did not run",
                code=ReasonCode.STALE_DEFINITION,
                remedy="list the tools and use what is there",
            )

    def _scope(self, manifest: Manifest, arguments: Mapping[str, Any]) -> Scope:
        """What this call may touch: what the approved manifest declares, for these arguments."""
        declared = manifest.capabilities or Capabilities()
        scope = scope_of(declared, arguments, kept=self._kept())
        return replace(scope, limits=_limits(declared.limits, manifest))

    async def _job(self, server: _Server, name: str, arguments: Mapping[str, Any], scope: Scope) -> Job:
        environment = {secret: self._secrets.get(secret) for secret in scope.secrets}
        binding = server.binding
        if binding.kind is BindingKind.COMMANDS:
            argv, stdin = command_line(binding.commands[name], arguments)
            return CommandJob(argv=argv, stdin=stdin.encode(), environment=environment)
        if binding.kind is BindingKind.MODULES:
            return module_job(binding.modules[name], arguments, environment=environment)
        return call_job(
            binding,
            (await self._read(server))[name],
            arguments,
            environment=environment,
            interpreter=server.interpreter,
        )

    async def _read(self, server: _Server) -> Mapping[str, Function]:
        """Its functions; its environment is installed first where it has one."""
        async with server.reading:
            if server.functions is None:
                if server.binding.requirements:
                    installed = await self._packages.ensure(server.binding)
                    server.interpreter, server.lock_digest = installed.argv[0], installed.lock_digest
                server.functions = await read_functions(
                    server.binding, self._cages, interpreter=server.interpreter
                )
            return server.functions


def _limits(declared: Limits, manifest: Manifest) -> Limits:
    """The narrower of both; a limit that was left out of `limits` is what the manifest says otherwise."""
    wall_ms, output_bytes = declared.wall_ms, declared.output_bytes
    if wall_ms == WALL_MS or wall_ms > manifest.timeout_ms:
        wall_ms = manifest.timeout_ms
    if output_bytes == OUTPUT_BYTES or output_bytes > manifest.output_bytes_max:
        output_bytes = manifest.output_bytes_max
    return replace(declared, wall_ms=wall_ms, output_bytes=output_bytes)
