"""One sandbox for everybody, opened once; a way out lives as long as the cage that it belongs to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from toolward.errors import SandboxUnavailable
from toolward.kernel.cages.cages import SharedCages
from toolward.kernel.tasks import Background
from toolward.model.capability import IsolationLevel, IsolationReport, Scope
from toolward.model.egress import Grant, Whose
from toolward.ports.sandbox import CagedProcess, CommandJob, EgressOpened, Ended, Exited, Job, Ran, WasmJob

CONNECTED = Scope(network=(Grant(host="a.example", port=443),))
JOB = CommandJob(argv=("true",))
REPORT = IsolationReport(tier=IsolationLevel.NAMESPACES)


class Process:
    """`ports.sandbox.CagedProcess` that ends when it is told to."""

    stdin_fd = stdout_fd = stderr_fd = -1
    report = REPORT

    def __init__(self, listener: socket.socket | None) -> None:
        self.egress_listener = listener
        self.ended = asyncio.Event()

    def terminate(self) -> None:
        self.ended.set()

    def kill(self) -> None:
        self.ended.set()

    async def wait(self) -> int:
        await self.ended.wait()
        return 0


class Box:
    """`ports.sandbox.Sandbox` without cages."""

    def __init__(self, report: IsolationReport = REPORT) -> None:
        self.process: Process | None = None
        self.breaks = False
        self.closed = False
        self.ran: list[Job] = []
        self._report = report

    def report(self) -> IsolationReport:
        return self._report

    async def run(self, job: Job, scope: Scope, *, on_egress: EgressOpened | None = None) -> Ended:
        self.ran.append(job)
        if scope.network and on_egress is not None:
            on_egress(socket.socket())
        if self.breaks:
            raise SandboxUnavailable("no worker")
        return Exited(status=0, stdout=b"", stderr=b"", ran=Ran(report=REPORT))

    async def start(self, command: CommandJob, scope: Scope) -> CagedProcess:
        self.process = Process(socket.socket() if scope.network else None)
        return self.process

    async def prepare(self, scope: Scope, *, workers: int) -> None: ...

    async def close(self) -> None:
        self.closed = True


class Way:
    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.open = True

    async def close(self) -> None:
        self.listener.close()
        self.open = False


class World:
    def __init__(self) -> None:
        self.box = Box()
        self.opened = 0
        self.ways: list[Way] = []
        self.told: list[tuple[Whose, tuple[Grant, ...]]] = []
        self.background = Background(lambda error: None)
        self.cages = SharedCages(self.sandbox, self.way_out, wasm=self.wasm, background=self.background)
        self.computing = Box(IsolationReport(tier=IsolationLevel.WASM))

    async def sandbox(self) -> Box:
        await asyncio.sleep(0)
        self.opened += 1
        return self.box

    async def wasm(self) -> Box:
        return self.computing

    async def way_out(self, listener: socket.socket, grants: Sequence[Grant], whose: Whose) -> Way:
        self.told.append((whose, tuple(grants)))
        self.ways.append(Way(listener))
        return self.ways[-1]


async def test_many_at_once_open_one_sandbox_and_nobody_opens_it_unasked() -> None:
    world = World()
    await world.cages.close()
    assert world.opened == 0
    await asyncio.gather(*(world.cages.isolation() for _ in range(5)))
    assert world.opened == 1
    await world.cages.close()
    assert world.box.closed


async def test_webassembly_runs_where_it_runs_and_reports_what_holds_it() -> None:
    world = World()
    job = WasmJob(module=b"")
    await world.cages.run(job, Scope(), whose=Whose("x"))
    assert (await world.cages.isolation(wasm=True)).tier is IsolationLevel.WASM
    assert (world.computing.ran, world.opened) == ([job], 0)
    await world.cages.close()
    assert world.computing.closed


async def test_a_way_out_is_closed_when_its_program_has_ended() -> None:
    world = World()
    process = await world.cages.start(JOB, CONNECTED, whose=Whose("git", "s1"))
    assert world.told == [(Whose("git", "s1"), CONNECTED.network)]
    assert world.ways[0].open
    process.kill()
    await world.background.drain()
    assert not world.ways[0].open


async def test_a_program_without_grants_has_no_way_out() -> None:
    world = World()
    await world.cages.start(JOB, Scope(), whose=Whose("git"))
    await world.cages.run(JOB, Scope(), whose=Whose("git"))
    assert world.ways == []


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_jobs_way_out_is_closed_however_it_ended(breaks: bool) -> None:
    world = World()
    world.box.breaks = breaks
    if breaks:
        with pytest.raises(SandboxUnavailable):
            await world.cages.run(JOB, CONNECTED, whose=Whose("x"))
    else:
        assert isinstance(await world.cages.run(JOB, CONNECTED, whose=Whose("x")), Exited)
    assert [way.open for way in world.ways] == [False]


async def test_a_program_whose_way_out_can_not_be_made_is_ended() -> None:
    world = World()

    async def broken(listener: socket.socket, grants: Sequence[Grant], whose: Whose) -> Way:
        listener.close()
        raise OSError("no listener")

    world.cages = SharedCages(world.sandbox, broken, wasm=world.wasm, background=world.background)
    with pytest.raises(OSError, match="no listener"):
        await world.cages.start(JOB, CONNECTED, whose=Whose("x"))
    assert world.box.process is not None
    assert world.box.process.ended.is_set()
