"""Control groups hold cages where a part of the tree is ours, and nothing changes where none is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.cgroups import Groups, Leaf, delegated
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import SandboxUnavailable
from toolward.model.capability import IsolationLevel, Limits, Scope
from toolward.ports.sandbox import CommandJob, Ended, PythonJob, PythonSource, Stopped, StopReason, Value

NOT_OURS = "no part of the tree of control groups (version 2) was given to this process"


@pytest.fixture(params=["namespaces", "landlock"])
async def cage(request: pytest.FixtureRequest) -> AsyncIterator[CagedSandbox]:
    if not delegated():
        pytest.skip(NOT_OURS)
    try:
        sandbox = await CagedSandbox.open(Settings(tier=IsolationLevel(request.param), ready=1))
    except SandboxUnavailable as error:
        pytest.skip(error.reason.text)
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def bare() -> AsyncIterator[UnsafeNoSandbox]:
    sandbox = await UnsafeNoSandbox.open(Settings(ready=1))
    yield sandbox
    await sandbox.close()


def ours() -> set[Path]:
    return {each for base in delegated() for each in base.glob(f"toolward-{os.getpid()}-*")}


async def run(sandbox: CagedSandbox, text: str, **limits: int) -> Ended:
    job = PythonJob(target=PythonSource(text=text, function="f"))
    return await sandbox.run(job, Scope(limits=Limits(**limits)))


FLEETING = """
import os, signal, time
def f():
    # Children that end before anybody looks at them, and that nobody waits for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(800):
        if os.fork() == 0:
            until = time.process_time() + 0.002
            while time.process_time() < until: pass
            os._exit(0)
        try: os.waitpid(-1, 0)
        except ChildProcessError: pass
    return "spun for 1.6 s"
"""


async def test_processor_time_of_fleeting_children_is_counted(
    cage: CagedSandbox, bare: UnsafeNoSandbox
) -> None:
    assert isinstance(await run(bare, FLEETING, cpu_s=-1), Value)
    ended = await run(cage, FLEETING, cpu_s=1)
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.CPU


async def test_workers_are_in_groups_of_their_own_and_the_gateway_stays_where_it_is(
    cage: CagedSandbox,
) -> None:
    before = our_own()
    assert cage.report().cgroup[0] == "cpu"
    own = f"/toolward-{os.getpid()}-"
    server = await cage.start(CommandJob(argv=("/bin/cat",)), Scope())
    try:
        found = [line for pid in cage.pool.living() for line in groups_of(pid)]
    finally:
        server.kill()
        await server.wait()
    assert any(own in line for line in found)  # others may only be starting
    assert our_own() == before


def our_own() -> str:
    return Path("/proc/self/cgroup").read_text()


def groups_of(pid: int) -> list[str]:
    """Of a worker and what is below it; a supervisor stays outside."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    places = [Path(f"/proc/{each}/cgroup").read_text() for each in (*children, pid)]
    return [line for text in places for line in text.splitlines() if line.startswith("0::")]


async def test_nothing_of_them_is_left(cage: CagedSandbox) -> None:
    assert ours()
    await cage.close()
    assert ours() == set()


async def test_memory_of_all_processes_is_held_by_the_kernel(cage: CagedSandbox) -> None:
    if "memory" not in cage.report().cgroup:
        pytest.skip("the memory controller is not given to this process")
    assert cage.report().mem_total_enforced == "cgroup"
    text = """
import os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            block = bytearray(40 << 20)
            for i in range(0, len(block), 4096): block[i] = 1
            time.sleep(20)
    time.sleep(20)
"""
    ended = await run(cage, text, memory_bytes=128 << 20, wall_ms=15_000)
    assert isinstance(ended, Stopped)
    assert ended.reason is StopReason.MEMORY


# --- a tree of plain files ---------------------------------------------------------------------------


def process_in(place: Path, group: str, root: str = "/") -> Path:
    proc = place / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(f"3:memory:/elsewhere\n0::{group}\n")
    (proc / "mountinfo").write_text(f"30 23 0:26 {root} {place / 'tree'} rw shared:4 - cgroup2 cgroup2 rw\n")
    return proc


def group_at(place: Path, *, given: bool, procs: str = "") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "cgroup.procs").write_text(procs)
    if given:
        try:
            os.setxattr(place, "user.delegate", b"1")
        except OSError:
            pytest.skip("this file system keeps no extended attributes")
    return place


def test_the_top_of_the_tree_that_we_see_is_ours(tmp_path: Path) -> None:
    top = group_at(tmp_path / "tree", given=False)
    assert delegated(process_in(tmp_path, "/")) == [top]


def test_a_service_is_used_only_where_its_manager_gave_it(tmp_path: Path) -> None:
    group_at(tmp_path / "tree", given=False)
    own = group_at(tmp_path / "tree" / "a.service", given=False)
    proc = process_in(tmp_path, "/a.service")
    assert delegated(proc) == []
    group_at(own, given=True)
    assert delegated(proc) == [own]


def test_the_part_above_is_better_where_nothing_runs_in_it(tmp_path: Path) -> None:
    group_at(tmp_path / "tree", given=False)
    service = group_at(tmp_path / "tree" / "a.service", given=True)
    group_at(service / "main", given=False)
    proc = process_in(tmp_path, "/a.service/main")
    assert delegated(proc) == [service]
    (service / "cgroup.procs").write_text("77\n")
    assert delegated(proc) == []


def test_a_tree_that_is_mounted_from_elsewhere_is_nobodys(tmp_path: Path) -> None:
    group_at(tmp_path / "tree", given=True)
    assert delegated(process_in(tmp_path, "/a", root="/b")) == []


def test_where_nothing_can_be_made_there_are_no_groups(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    assert Groups.open([tmp_path]) is None  # plain files end nobody
    assert [each.name for each in tmp_path.iterdir() if each.is_dir() and not any(each.iterdir())] == []


def test_limits_are_written_where_their_controllers_are(tmp_path: Path) -> None:
    group_at(tmp_path / "made", given=False)
    (tmp_path / "made" / "memory.swap.max").touch()
    leaf = Leaf(tmp_path / "made", ("memory", "pids"))
    leaf.hold(Limits(memory_bytes=1 << 20, processes=7))
    written = {each.name: each.read_text() for each in (tmp_path / "made").iterdir()}
    assert written["memory.max"] == str(1 << 20)
    assert written["memory.oom.group"] == "1"
    assert written["memory.swap.max"] == "0"
    assert written["pids.max"] == "8"  # the first process of a cage is not the program's
    assert not leaf.ran_out_of_memory()
    (tmp_path / "made" / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert leaf.ran_out_of_memory()
    (tmp_path / "made" / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    assert leaf.cpu_s() == 1.5
    leaf.entered()
