"""The sandbox of namespaces, and its fallback of Landlock: one class, because only the workers differ."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

from typing_extensions import override

from toolward.adapters.sandboxes.cgroups import Groups
from toolward.adapters.sandboxes.execution import Execution, Steps
from toolward.adapters.sandboxes.foreign import in_other_interpreter, read_answer
from toolward.adapters.sandboxes.pipes import Conversation, Pipes
from toolward.adapters.sandboxes.pool import LaneKey, Pool, close_all
from toolward.adapters.sandboxes.probing import ABI_NET, probe
from toolward.adapters.sandboxes.process import Process
from toolward.adapters.sandboxes.settings import END_MS, Settings
from toolward.adapters.sandboxes.specs import PROXY_PORT, arm_spec, command_job, environment_of, python_job
from toolward.adapters.sandboxes.worker_link import WorkerLink
from toolward.errors import BadArguments, ReasonCode, SandboxUnavailable
from toolward.model.capability import IsolationLevel, IsolationReport, PathAccess, PathGrant, Scope
from toolward.ports.sandbox import (
    CagedProcess,
    CommandJob,
    EgressOpened,
    Ended,
    Exited,
    Job,
    PythonJob,
    PythonModule,
    Raised,
    Sandbox,
    StopReason,
    Value,
    WasmJob,
)


class CagedSandbox(Sandbox):
    """Runs Python functions and programs in one-shot workers; see `ports.sandbox` for the promises.

    Open with `await CagedSandbox.open(Settings(...))`; that tries every primitive for real first.
    """

    def __init__(self, settings: Settings, report: IsolationReport, groups: Groups | None = None) -> None:
        self._settings = settings
        self._report = report
        self._pool = Pool(settings, groups)
        self._ending: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, settings: Settings | None = None) -> CagedSandbox:
        """Probe this host, start the zygote and the first workers. Raises `SandboxUnavailable`."""
        settings = settings or Settings()
        report = (await probe(settings)).report_for(settings.tier)
        groups = await asyncio.to_thread(Groups.open) if settings.cgroups else None
        sandbox = cls(settings, _with_groups(report, groups), groups)
        try:
            await sandbox._pool.open()
        except BaseException:
            if groups is not None:
                groups.close()
            raise
        return sandbox

    @property
    def pool(self) -> Pool:
        """The workers, for measurements and tests."""
        return self._pool

    @override
    def report(self) -> IsolationReport:
        return self._report

    @override
    async def prepare(self, scope: Scope, *, workers: int) -> None:
        if scope.network and not self._report.net_ns:
            return  # its port is chosen for each call
        await self._pool.prepare(LaneKey(bool(scope.network), scope), workers)

    @override
    async def close(self) -> None:
        await self._pool.close()
        await asyncio.gather(*self._ending, return_exceptions=True)

    @override
    async def run(self, job: Job, scope: Scope, *, on_egress: EgressOpened | None = None) -> Ended:
        if isinstance(job, WasmJob):
            raise BadArguments("this sandbox runs no webassembly", remedy="use the wasm sandbox")
        if isinstance(job, PythonJob) and not job.interpreter:
            return await self._run_function(job, _with_code(job, scope), on_egress)
        if isinstance(job, CommandJob):
            return await self._run_program(job, scope, on_egress)
        command, wider = in_other_interpreter(job, scope, known=self._settings.runtimes)
        return read_answer(await self._run_program(command, wider, on_egress))

    @override
    async def start(self, command: CommandJob, scope: Scope) -> CagedProcess:
        scope = replace(scope, limits=replace(scope.limits, cpu_s=-1, written_bytes=-1))
        steps = Steps()
        worker = await self._take(scope, steps, address_space=False)
        execution = self._execution(worker, scope, steps)
        pipes = Pipes.make()
        try:
            await execution.armed()
            await worker.give(
                command_job(command, environment_of(command, scope, worker.port)),
                pipes.theirs,
                answer_bytes_max=0,
            )
        except BaseException:
            pipes.close()
            await self._end(execution, wait=False)
            raise
        pipes.close_theirs()
        return Process(execution, pipes, on_end=self._pool.replenish)

    # --- one execution

    async def _run_function(self, job: PythonJob, scope: Scope, on_egress: EgressOpened | None) -> Ended:
        steps = Steps()
        worker = await self._take(scope, steps, address_space=True)
        execution = self._execution(worker, scope, steps)
        try:
            if scope.network:
                await execution.armed()
                _hand_over(worker, on_egress)
            await worker.give(
                python_job(job, environment_of(job, scope, worker.port)),
                (),
                answer_bytes_max=scope.limits.output_bytes,
            )
            await execution.armed()
            return _judge(await execution.answer(), execution)
        finally:
            await self._end(execution, wait=scope.writes)

    async def _run_program(self, job: CommandJob, scope: Scope, on_egress: EgressOpened | None) -> Ended:
        steps = Steps()
        worker = await self._take(scope, steps, address_space=False)
        execution = self._execution(worker, scope, steps)
        pipes = Pipes.make()
        talk: Conversation | None = None
        try:
            await execution.armed()
            _hand_over(worker, on_egress)
            await worker.give(
                command_job(job, environment_of(job, scope, worker.port)), pipes.theirs, answer_bytes_max=0
            )
            pipes.close_theirs()
            talk = Conversation(
                pipes,
                job.stdin,
                bytes_max=scope.limits.output_bytes,
                on_flood=lambda: execution.stop(StopReason.OUTPUT, "it wrote more than its limit"),
            )
            answer = await execution.answer()
            worker.kill()  # whatever the program left behind holds the pipes open
            await talk.done()
            return _judge(answer, execution, talk)
        finally:
            if talk is not None:
                talk.close()
            pipes.close()
            await self._end(execution, wait=scope.writes)

    def _execution(self, worker: WorkerLink, scope: Scope, steps: Steps) -> Execution:
        return Execution(worker, scope, self._report, steps, shares_user=self._pool.shares_user)

    async def _take(self, scope: Scope, steps: Steps, *, address_space: bool) -> WorkerLink:
        """A worker that holds `scope`, or was told to: armed ahead, or from the common ones."""
        network = bool(scope.network)
        own = LaneKey(network, scope, address_space=address_space)
        if self._pool.has(own):
            worker = await self._pool.take(own)
            steps.mark("taken armed")
            return worker
        port = PROXY_PORT if network else 0
        listener = self._loopback_listener() if network and not self._report.net_ns else None
        if listener is not None:
            port = listener.getsockname()[1]
        fds = await self._pool.resolve(scope) if scope.paths else []
        try:
            if fds:
                steps.mark("resolved")
            worker = await self._pool.take(LaneKey(network))
            steps.mark("taken")
            spec = arm_spec(scope, address_space=address_space, port=port, others=await self._pool.others())
            worker.arm(spec, fds, scope.limits)
            worker.port = port
            if listener is not None:
                worker.listener, listener = listener, None
        finally:
            close_all(fds)
            if listener is not None:
                listener.close()
        return worker

    def _loopback_listener(self) -> socket.socket:
        """Without a network namespace: a port of the machine, the only one the cage may connect to."""
        if self._report.landlock_abi < ABI_NET:
            raise SandboxUnavailable(
                "this kernel's landlock can not hold a cage to one port, so no destination can be granted",
                remedy="use a kernel of 6.7 or newer, or a host that reaches the tier `namespaces`",
            )
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        return listener

    async def _end(self, execution: Execution, *, wait: bool) -> None:
        """End the cage, whatever happened; with `wait`, until nothing of it is left."""
        execution.close()
        self._pool.replenish()
        if wait:
            try:
                async with asyncio.timeout(END_MS / 1000):
                    await execution.worker.gone()
            except TimeoutError:
                raise SandboxUnavailable(
                    f"a cage was not gone {END_MS} ms after it was ended",
                    code=ReasonCode.UNKNOWN_OUTCOME,
                    remedy="see how busy the machine is",
                ) from None


class UnsafeNoSandbox(CagedSandbox):
    """No cage at all: the same workers without namespaces, Landlock or seccomp, as the gateway's user.

    For controls in tests and measurements, and for a configuration that says so in as many words.
    """

    @classmethod
    @override
    async def open(cls, settings: Settings | None = None) -> UnsafeNoSandbox:
        """Start it. Raises `SandboxUnavailable`."""
        wanted = replace(settings or Settings(), tier=IsolationLevel.NONE)
        gaps = ("there is no cage: the tool can do what the gateway's user can",)
        sandbox = cls(wanted, IsolationReport(tier=IsolationLevel.NONE, gaps=gaps))
        await sandbox.pool.open()
        return sandbox


def _with_groups(report: IsolationReport, groups: Groups | None) -> IsolationReport:
    if groups is None:
        return report
    total = "cgroup" if "memory" in groups.controllers else report.mem_total_enforced
    return replace(report, cgroup=("cpu", *groups.controllers), mem_total_enforced=total)


def _with_code(job: PythonJob, scope: Scope) -> Scope:
    """The scope, with the directories granted from which the function is imported."""
    if not isinstance(job.target, PythonModule):
        return scope
    granted = {grant.path for grant in scope.paths}
    more = [PathGrant(p, PathAccess.READ, p) for p in job.target.search_paths if p not in granted]
    return replace(scope, paths=tuple(sorted((*scope.paths, *more)))) if more else scope


def _hand_over(worker: WorkerLink, on_egress: EgressOpened | None) -> None:
    listener = worker.take_listener()
    if listener is not None and on_egress is not None:
        listener.setblocking(False)  # noqa: FBT003 -- the socket's own signature
        on_egress(listener)
    elif listener is not None:
        listener.close()


def _judge(answer: Any, execution: Execution, talk: Conversation | None = None) -> Ended:
    """What the untrusted answer says, by its shape alone."""
    ran = execution.ran()
    match answer:
        case {"exit": int(status)} if talk is not None and execution.stopped is None:
            return Exited(status=status, stdout=talk.stdout, stderr=talk.stderr, ran=ran)
        case {"value": value} if talk is None:
            return Value(value=value, ran=ran)
        case {"raised": [str(kind), str(text)]}:
            return Raised(kind=kind, text=text, ran=ran)
        case {"too_large": int(size)}:
            execution.stop(StopReason.OUTPUT, f"the result has {size} bytes, more than its limit")
        case _:
            execution.stop(StopReason.PROTOCOL, "the answer is not one that a worker gives")
    return execution.outcome()
