"""Workers serve once; a dry pool makes calls wait; a dead zygote is replaced; a bad host is told in words."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.pool import LaneKey
from toolward.adapters.sandboxes.probing import Probe, probe
from toolward.adapters.sandboxes.settings import Settings
from toolward.adapters.sandboxes.worker_link import Broken
from toolward.errors import Overloaded, SandboxUnavailable
from toolward.model.capability import IsolationLevel, Limits, Scope
from toolward.ports.sandbox import CommandJob, PythonJob, PythonSource, Raised, Stopped, Value

ALL_WORK = {
    name: [True, True] for name in ("userns", "mount_ns", "pid_ns", "net_ns", "proc", "seccomp", "house")
} | {"landlock": [True, 7]}


async def opened(settings: Settings) -> CagedSandbox:
    best = (await probe(settings)).best
    if best is IsolationLevel.NONE:
        pytest.skip("this host reaches no cage: no user namespaces and no landlock")
    return await CagedSandbox.open(replace(settings, tier=best))


@pytest.fixture
async def small() -> AsyncIterator[CagedSandbox]:
    """Room for two cages at once."""
    sandbox = await opened(Settings(ready=2, workers_max=2, queue_wait_ms=200))
    yield sandbox
    await sandbox.close()


def source(text: str) -> PythonJob:
    return PythonJob(target=PythonSource(text=text, function="f"))


WHO = source(
    "import os, socket\ndef f():\n open('/tmp/mine', 'x').close()\n return os.readlink('/proc/self/ns/mnt')"
)


async def test_no_worker_serves_twice(small: CagedSandbox) -> None:
    if not small.report().mount_ns:
        pytest.skip("needs mount namespaces to tell workers apart")
    seen = [await small.run(WHO, Scope()) for _ in range(12)]
    # Each could make the same new file, and each had a namespace of its own.
    assert all(isinstance(ended, Value) for ended in seen), seen


async def test_what_one_call_changed_the_next_does_not_see(small: CagedSandbox) -> None:
    spoil = source("import json\ndef f():\n json.dumps = None\n import builtins; builtins.mark = 1")
    look = source(
        "import json, builtins\ndef f(): return json.dumps is not None and not hasattr(builtins, 'mark')"
    )
    for _ in range(3):
        await small.run(spoil, Scope())
        ended = await small.run(look, Scope())
        assert isinstance(ended, Value)
        assert ended.value is True


async def test_a_dry_pool_makes_a_call_wait_and_then_serves_it() -> None:
    patient = await opened(Settings(ready=2, workers_max=2, queue_wait_ms=60_000))
    try:
        ended = await asyncio.gather(*(patient.run(source("def f(): return 1"), Scope()) for _ in range(20)))
    finally:
        await patient.close()
    assert [each.value for each in ended if isinstance(each, Value)] == [1] * 20
    assert {each.ran.report.tier for each in ended} == {patient.report().tier}


async def test_a_pool_that_stays_dry_refuses_and_runs_nothing_weaker(small: CagedSandbox) -> None:
    servers = [await small.start(CommandJob(argv=("sleep", "100")), Scope()) for _ in range(2)]
    with pytest.raises(Overloaded) as refused:
        await small.run(source("def f(): return 1"), Scope())
    assert "workers_max" in refused.value.reason.remedy
    for server in servers:
        server.kill()
        await server.wait()
        for fd in (server.stdin_fd, server.stdout_fd, server.stderr_fd):
            os.close(fd)
    ended = await small.run(source("def f(): return 1"), Scope())
    assert isinstance(ended, Value)


async def test_a_dead_zygote_is_replaced_and_its_calls_end(small: CagedSandbox) -> None:
    first = small.pool.zygote_pid
    looping = asyncio.ensure_future(small.run(source("def f():\n while True: pass"), Scope()))
    await small.run(source("def f(): return 1"), Scope())
    os.kill(first, signal.SIGKILL)
    try:
        ended = await looping
    except SandboxUnavailable:
        pass  # it was not armed yet
    else:
        assert isinstance(ended, Stopped)
    for _ in range(200):  # a worker that was ready may still die under a call, or its place be free late
        try:
            ended = await small.run(source("def f(): return 2"), Scope())
        except (SandboxUnavailable, Overloaded):
            continue
        if isinstance(ended, Value):
            break
    assert isinstance(ended, Value)
    assert small.pool.zygote_pid != first


async def test_workers_that_end_while_they_wait_leave_nothing_open(small: CagedSandbox) -> None:
    key = LaneKey(network=False)
    await asyncio.gather(*small.pool._tasks)  # those that are being started
    waiting = list(small.pool._lanes[key].ready)
    assert len(waiting) == 2
    os.kill(small.pool.zygote_pid, signal.SIGKILL)
    for worker in waiting:
        await worker.gone()
        assert worker._conn is None
    assert small.pool.ready(key) == 0


async def test_prepared_workers_hold_their_scope_and_are_taken_first(small: CagedSandbox) -> None:
    limits = Limits(wall_ms=2_000)
    await small.prepare(Scope(limits=limits), workers=1)
    assert small.pool.ready(LaneKey(network=False, scope=Scope(limits=limits))) == 1
    ended = await small.run(source("def f(): return 1"), Scope(limits=limits))
    assert ended.ran.steps[0][0] == "taken armed"
    other = await small.run(source("def f(): return 1"), Scope())
    assert other.ran.steps[0][0] == "taken"


async def test_a_worker_that_died_while_it_waited_is_not_handed_out(small: CagedSandbox) -> None:
    worker = await small.pool.take(LaneKey(network=False))
    worker.kill()
    await worker.gone()
    assert not worker.alive
    with pytest.raises(Broken):
        await worker.frame()
    ended = await small.run(source("def f(): return 1"), Scope())
    assert isinstance(ended, Value)


async def test_closing_ends_everything() -> None:
    sandbox = await opened(Settings(ready=2))
    server = await sandbox.start(CommandJob(argv=("sleep", "100")), Scope())
    zygote = sandbox.pool.zygote_pid
    await sandbox.close()
    assert await server.wait() < 0
    with pytest.raises(ProcessLookupError):
        os.kill(zygote, 0)
    with pytest.raises(SandboxUnavailable):
        await sandbox.run(source("def f(): return 1"), Scope())
    for fd in (server.stdin_fd, server.stdout_fd, server.stderr_fd):
        os.close(fd)


async def test_a_function_without_its_name_is_told(small: CagedSandbox) -> None:
    ended = await small.run(PythonJob(target=PythonSource(text="x = 1", function="f")), Scope())
    assert isinstance(ended, Raised)
    assert ended.kind == "KeyError"


@pytest.mark.parametrize("missing", ["userns", "mount_ns", "pid_ns", "net_ns", "house"])
def test_a_host_without_namespaces_reaches_landlock_and_says_why(missing: str) -> None:
    host = Probe({**ALL_WORK, missing: [False, "Operation not permitted"]}, as_root=False)
    assert host.best is IsolationLevel.LANDLOCK
    with pytest.raises(SandboxUnavailable) as refused:
        host.report_for(IsolationLevel.NAMESPACES)
    assert missing in refused.value.reason.text
    rows = {finding.what: finding for finding in host.findings()}
    assert rows[missing].remedy
    assert not rows["cages"].works
    gaps = host.report_for(IsolationLevel.LANDLOCK).gaps
    assert any(gap.startswith("stat:") for gap in gaps)


def test_a_host_without_anything_reaches_nothing() -> None:
    host = Probe({name: [False, "no"] for name in ALL_WORK}, as_root=False)
    assert host.best is IsolationLevel.NONE
    for tier in (IsolationLevel.NAMESPACES, IsolationLevel.LANDLOCK, IsolationLevel.NONE):
        with pytest.raises(SandboxUnavailable):
            host.report_for(tier)
    assert host.findings()[0].text == "none can be made here"


def test_a_host_with_everything_has_no_gaps() -> None:
    host = Probe(ALL_WORK, as_root=True)
    assert host.best is IsolationLevel.NAMESPACES
    assert host.report_for(IsolationLevel.NAMESPACES).gaps == ()
    assert [finding.works for finding in host.findings()] == [True]
