"""Sandboxes for the tools of this machine, each made when its first one starts; a way out for each cage."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from toolward.kernel.tasks import Background
from toolward.model.capability import IsolationReport, Scope
from toolward.model.egress import Whose
from toolward.ports.egress import OpenWayOut
from toolward.ports.sandbox import CagedProcess, CommandJob, Ended, Job, Sandbox, WasmJob

OpenSandbox = Callable[[], Awaitable[Sandbox]]


class _Shared:
    """One sandbox, opened by whoever comes first."""

    def __init__(self, open_: OpenSandbox) -> None:
        self._open = open_
        self._sandbox: Sandbox | None = None
        self._opening = asyncio.Lock()

    async def get(self) -> Sandbox:
        if self._sandbox is None:
            async with self._opening:
                return await self._first()
        return self._sandbox

    async def _first(self) -> Sandbox:
        """Whoever comes second finds the sandbox of whoever came first."""
        if self._sandbox is None:
            self._sandbox = await self._open()
        return self._sandbox

    async def close(self) -> None:
        if self._sandbox is not None:
            await self._sandbox.close()


class SharedCages:
    """`ports.cages.Cages` over one sandbox of each kind and one proxy for each cage that may connect."""

    def __init__(
        self, sandbox: OpenSandbox, way_out: OpenWayOut, *, wasm: OpenSandbox, background: Background
    ) -> None:
        """`sandbox` opens the strongest that this host reaches, `wasm` WebAssembly's; each is called once."""
        self._processes = _Shared(sandbox)
        self._wasm = _Shared(wasm)
        self._way_out = way_out
        self._background = background

    async def isolation(self, *, wasm: bool = False) -> IsolationReport:
        """See `ports.cages.Cages`."""
        return (await (self._wasm if wasm else self._processes).get()).report()

    async def start(self, command: CommandJob, scope: Scope, *, whose: Whose) -> CagedProcess:
        """See `ports.cages.Cages`; the way out is closed when the program has ended."""
        process = await (await self._processes.get()).start(command, scope)
        listener = process.egress_listener
        if listener is None:
            return process
        try:
            out = await self._way_out(listener, scope.network, whose)
        except BaseException:
            process.kill()
            raise
        _ = self._background.start(_close_after(process, out.close))
        return process

    async def run(self, job: Job, scope: Scope, *, whose: Whose) -> Ended:
        """See `ports.cages.Cages`."""
        sandbox = await (self._wasm if isinstance(job, WasmJob) else self._processes).get()
        if not scope.network:
            return await sandbox.run(job, scope)
        async with AsyncExitStack() as ways:
            opening: list[asyncio.Task[None]] = []

            async def serve(listener: socket.socket) -> None:
                out = await self._way_out(listener, scope.network, whose)
                ways.push_async_callback(out.close)

            def opened(listener: socket.socket) -> None:
                opening.append(self._background.start(serve(listener)))

            try:
                return await sandbox.run(job, scope, on_egress=opened)
            finally:  # a way that could not be opened is told of by the background; the job had none
                await asyncio.gather(*opening, return_exceptions=True)

    async def close(self) -> None:
        """See `ports.cages.Cages`."""
        await self._processes.close()
        await self._wasm.close()


async def _close_after(process: CagedProcess, close: Callable[[], Awaitable[None]]) -> None:
    try:
        _ = await process.wait()
    finally:
        await close()
