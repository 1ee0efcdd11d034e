"""Pure computing in WebAssembly: no system calls. Needs `pip install 'toolward[wasm]'`."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import lru_cache
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.sandboxes.cage.kernel import open_plain
from toolward.adapters.sandboxes.execution import Steps
from toolward.adapters.sandboxes.settings import QUEUE_WAIT_MS
from toolward.adapters.sandboxes.wasm_sleep import POLL, WASI, TimeOver, poll_until
from toolward.config.processors import use_all
from toolward.errors import BadArguments, Denied, Overloaded, ReasonCode, SandboxUnavailable, ToolFailed
from toolward.model.capability import IsolationLevel, IsolationReport, PathAccess, PathGrant, Scope
from toolward.ports.sandbox import (
    CagedProcess,
    CommandJob,
    EgressOpened,
    Ended,
    Exited,
    Job,
    Raised,
    Ran,
    Sandbox,
    Stopped,
    StopReason,
    Value,
    WasmJob,
)

FUEL_PER_CPU_S: Final = 1_000_000_000
"""Instructions that count as a second of processor time; wasmtime runs about as many."""
MODULES_KEPT: Final = 32
"""Compiled modules; compiling costs thousands of calls."""
INSTANCES_MAX: Final = 16
"""Instances, tables and memories of one store."""
TABLE_ELEMENTS_MAX: Final = 100_000
"""Entries of one table."""
THREADS_MAX: Final = 16
"""Calls at once; one that is cancelled holds its thread until its wall time is over."""
GRACE_S: Final = 2.0
"""How much longer than its wall time a call may take, compiling its module included."""
TICK_MS: Final = 10
"""How exact the wall time is."""
TEXT_MAX: Final = 2_000
"""Of a trap's message."""
_TOO_LONG: Final = "it took longer than its limit"


class WasmSandbox(Sandbox):
    """Runs `WasmJob`s, each in a store of its own; other jobs are refused.

    Directories are preopened read-only unless the scope grants writing; a file by itself can not be granted,
    and nothing in a granted directory can be hidden. Network and long-lived programs are not there.
    """

    def __init__(self) -> None:
        try:
            import wasmtime  # noqa: PLC0415 -- an extra
        except ImportError as error:
            raise SandboxUnavailable(
                "webassembly is not installed", remedy="pip install 'toolward[wasm]'"
            ) from error
        self._wasmtime: Any = wasmtime
        config = wasmtime.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        self._engine = wasmtime.Engine(config)
        self._compiled = lru_cache(maxsize=MODULES_KEPT)(self._compile)
        self._running = 0
        self._ticking = False
        self._places = asyncio.Semaphore(THREADS_MAX)
        self._report = IsolationReport(
            tier=IsolationLevel.WASM,
            mem_total_enforced="runtime",
            gaps=(
                "cancelling: a cancelled call goes on, unheard, until its wall time is over",
                "bytes: how much is written to a granted directory is not bounded",
            ),
        )

    @override
    def report(self) -> IsolationReport:
        return self._report

    @override
    async def run(self, job: Job, scope: Scope, *, on_egress: EgressOpened | None = None) -> Ended:
        if not isinstance(job, WasmJob):
            raise BadArguments(
                "the wasm sandbox runs webassembly only", remedy="use a sandbox of namespaces for programs"
            )
        if scope.network:
            raise Denied(
                "webassembly has no network, so no destination can be granted",
                code=ReasonCode.GRANT_REFUSED,
                remedy="use a sandbox of namespaces",
            )
        _check_nothing_hidden(scope)
        steps = Steps()
        await self._place()
        running = in_thread(lambda: self._whole(job, scope, steps))
        running.add_done_callback(self._one_less)
        try:
            async with asyncio.timeout(scope.limits.wall_ms / 1000 + GRACE_S):
                return await asyncio.shield(running)
        except TimeoutError:  # it is in the host, waiting for a file that is none
            return Stopped(reason=StopReason.WALL, text=_TOO_LONG, ran=self._ran(steps))

    async def _place(self) -> None:
        """Wait for a thread; a call that is abandoned holds its own until it ends."""
        try:
            async with asyncio.timeout(QUEUE_WAIT_MS / 1000):
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded(
                f"no thread for webassembly became free in {QUEUE_WAIT_MS} ms",
                remedy="send fewer calls at once",
            ) from None
        self._running += 1
        if not self._ticking:
            self._tick()

    def _tick(self) -> None:
        """Advance the clock by which running modules are interrupted."""
        self._ticking = self._running > 0
        if self._ticking:
            self._engine.increment_epoch()
            asyncio.get_running_loop().call_later(TICK_MS / 1000, self._tick)

    def _one_less(self, _: object) -> None:
        self._running -= 1
        self._places.release()

    @override
    async def start(self, command: CommandJob, scope: Scope) -> CagedProcess:
        raise BadArguments("webassembly runs no long-lived programs", remedy="use a sandbox of namespaces")

    @override
    async def prepare(self, scope: Scope, *, workers: int) -> None:
        """Nothing to prepare: a store is made in microseconds."""

    @override
    async def close(self) -> None:
        self._compiled.cache_clear()

    def _compile(self, code: bytes) -> Any:
        try:
            return self._wasmtime.Module(self._engine, code)
        except self._wasmtime.WasmtimeError as error:
            raise ToolFailed(
                f"the module is not webassembly: {str(error)[:TEXT_MAX]}",
                remedy="compile it for wasm32, or wasm32-wasip1",
            ) from error

    # --- in a thread

    def _whole(self, job: WasmJob, scope: Scope, steps: Steps) -> Ended:
        module = self._compiled(bytes(job.module))
        steps.mark("compiled")
        return self._execute(module, job, scope, steps)

    def _execute(self, module: Any, job: WasmJob, scope: Scope, steps: Steps) -> Ended:
        output = _Output(scope.limits.output_bytes)
        with ExitStack() as stack:
            store = self._store(scope, job, output, stack)
            linker = self._wasmtime.Linker(self._engine)
            linker.define_wasi()
            self._define_sleep(linker, module, scope)
            result: Any = None
            status = 0
            try:
                exports = linker.instantiate(store, module).exports(store)
                if not job.function:
                    return Value(value=self._functions_of(module), ran=self._ran(steps))
                function = exports.get(job.function)
                if not isinstance(function, self._wasmtime.Func):
                    text = f"the module exports no function `{job.function}`"
                    return Raised(kind="NoFunction", text=text, ran=self._ran(steps))
                result = function(store, *job.arguments)
            except self._wasmtime.ExitTrap as exit_:
                status = int(exit_.code)
            except TimeOver:
                return Stopped(reason=StopReason.WALL, text=_TOO_LONG, ran=self._ran(steps))
            except (self._wasmtime.WasmtimeError, self._wasmtime.Trap, TypeError) as error:
                return self._failed(error, output, steps)
        steps.mark("answered")
        if output.flooded:
            return Stopped(
                reason=StopReason.OUTPUT, text="it wrote more than its limit", ran=self._ran(steps)
            )
        if job.function == "_start":
            return Exited(
                status=status, stdout=bytes(output.out), stderr=bytes(output.err), ran=self._ran(steps)
            )
        return Value(value=result, ran=self._ran(steps))

    def _define_sleep(self, linker: Any, module: Any, scope: Scope) -> None:
        if not any((each.module, each.name) == (WASI, POLL) for each in module.imports):
            return
        number = self._wasmtime.ValType.i32()
        kind = self._wasmtime.FuncType([number] * 4, [number])
        poll = poll_until(time.monotonic() + scope.limits.wall_ms / 1000)
        linker.allow_shadowing = True
        linker.define_func(WASI, POLL, kind, poll, access_caller=True)

    def _functions_of(self, module: Any) -> list[str]:
        return [each.name for each in module.exports if isinstance(each.type, self._wasmtime.FuncType)]

    def _store(self, scope: Scope, job: WasmJob, output: _Output, stack: ExitStack) -> Any:
        limits = scope.limits
        store = self._wasmtime.Store(self._engine)
        store.set_fuel(limits.cpu_s * FUEL_PER_CPU_S)
        store.set_epoch_deadline(limits.wall_ms // TICK_MS + 1)
        store.set_limits(
            memory_size=limits.memory_bytes,
            table_elements=TABLE_ELEMENTS_MAX,
            instances=INSTANCES_MAX,
            tables=INSTANCES_MAX,
            memories=1,
        )
        wasi = self._wasmtime.WasiConfig()
        wasi.argv = ["tool", *job.argv]
        wasi.env = list({**dict(scope.environment), **job.environment}.items())
        wasi.stdout_custom = output.take_out
        wasi.stderr_custom = output.take_err
        stdin = os.memfd_create("stdin", os.MFD_CLOEXEC)
        stack.callback(os.close, stdin)
        os.write(stdin, job.stdin)
        wasi.stdin_file = f"/proc/self/fd/{stdin}"
        for grant in scope.paths:
            fd = _open_grant(grant)
            stack.callback(os.close, fd)
            # By descriptor: what was vetted is what is opened. `fs_mutable` is true unless one says so.
            wasi.preopen_dir(f"/proc/self/fd/{fd}", grant.path, fs_mutable=grant.access is PathAccess.WRITE)
        store.set_wasi(wasi)
        return store

    def _failed(self, error: Exception, output: _Output, steps: Steps) -> Ended:
        ran = self._ran(steps)
        codes = self._wasmtime.TrapCode
        if output.flooded:
            return Stopped(reason=StopReason.OUTPUT, text="it wrote more than its limit", ran=ran)
        match getattr(error, "trap_code", None):
            case codes.OUT_OF_FUEL:
                return Stopped(reason=StopReason.CPU, text="it used up its processor time", ran=ran)
            case codes.INTERRUPT:
                return Stopped(reason=StopReason.WALL, text=_TOO_LONG, ran=ran)
            case _:
                return Raised(kind=type(error).__name__, text=str(error)[:TEXT_MAX], ran=ran)

    def _ran(self, steps: Steps) -> Ran:
        return Ran(report=self._report, steps=steps.all())


class _Output:
    """stdout and stderr, bounded together."""

    def __init__(self, bytes_max: int) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self.flooded = False
        self._room = bytes_max

    def take_out(self, data: bytes) -> int:
        return self._take(self.out, data)

    def take_err(self, data: bytes) -> int:
        return self._take(self.err, data)

    def _take(self, into: bytearray, data: bytes) -> int:
        if len(data) > self._room:
            self.flooded = True
            return -errno.ENOSPC  # it may go on without an output until its wall time is over
        self._room -= len(data)
        into += data
        return len(data)


def in_thread(work: Callable[[], Ended]) -> asyncio.Future[Ended]:
    """Do it in a thread of its own.

    Not one of the gateway's: a module that spins must not take those. Nor one that is waited for when the
    gateway ends: it may hang in a file.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ended] = loop.create_future()

    def deliver(ended: Ended | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if ended is not None:
            future.set_result(ended)
        else:
            future.set_exception(error or RuntimeError("no outcome"))

    def body() -> None:
        use_all()
        ended: Ended | None = None
        failure: BaseException | None = None
        try:
            ended = work()
        except BaseException as error:  # noqa: BLE001 -- whoever waits has to hear of it
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(deliver, ended, failure)

    threading.Thread(target=body, name="wasm", daemon=True).start()
    return future


def _check_nothing_hidden(scope: Scope) -> None:
    for grant in scope.paths:
        if grant.access is PathAccess.HIDE:
            raise Denied(
                f"`{grant.path}` lies in what is granted, and webassembly can not hide it",
                code=ReasonCode.GRANT_REFUSED,
                remedy="grant a directory that does not hold it",
            )


def _open_grant(grant: PathGrant) -> int:
    try:
        return open_plain(grant.path, flags=os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Denied(
            f"`{grant.path}` can not be granted: it is not a directory, or a link ({error.strerror})",
            code=ReasonCode.GRANT_REFUSED,
            remedy="name an existing directory by its real path",
        ) from error
