"""Cages beside plain processes, in one run: `python -m toolward.lab.bench_sandbox` (make bench-sandbox).

A call is a function that returns whether its interpreter was used before, from `run` to its answer. CPU is
all that the machine spent for it, the gateway's share and the kernel's undoing of the cage included.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.pool import LaneKey
from toolward.adapters.sandboxes.settings import Settings
from toolward.adapters.sandboxes.wasm import WasmSandbox
from toolward.errors import SandboxUnavailable
from toolward.lab.report import Row, write_report
from toolward.model.capability import IsolationLevel, PathAccess, PathGrant, Scope
from toolward.ports.sandbox import Ended, PythonJob, PythonSource, Value, WasmJob

CALLS: Final = 250
ROUNDS: Final = 3
_ADD: Final = bytes.fromhex("0061736d0100000001070160027f7f017f03020100070501016600000a09010700200020016a0b")
"""A module whose `f` adds two numbers."""
AT_ONCE: Final = 8
FLOOD_S: Final = 2.0
ARMED_MS_MAX: Final = 2.0
SCOPED_MS_MAX: Final = 10.0
CPU_RATIO_MAX: Final = 2.5
_SETTLE_S: Final = 0.15
_MIB: Final = 1 << 20
_TEXT: Final = """
import builtins
def f():
    used = hasattr(builtins, "used")
    builtins.used = True
    return used
"""
_JOB: Final = PythonJob(target=PythonSource(text=_TEXT, function="f"))
_BWRAP: Final = """
--unshare-all --die-with-parent --new-session --cap-drop ALL --ro-bind /usr /usr --symlink usr/lib /lib
--symlink usr/lib64 /lib64 --symlink usr/bin /bin --proc /proc --dev /dev --tmpfs /tmp
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one kind of cage came to."""

    name: str
    armed_ms: list[float]
    scoped_ms: list[float]
    gone_ms: list[float]
    cpu_ms: float
    per_second: float
    pss_mib: float
    reused: int
    calls: int


class CpuMeter:
    """CPU of this process, of all it starts, and of the kernel for them; by a cgroup where possible."""

    def __init__(self, group: Path | None) -> None:
        self._group = group

    @property
    def how(self) -> str:
        """What is read."""
        if self._group is None:
            return "the whole machine's busy time (no cgroup could be made): other programs are in it"
        return "cpuacct of a cgroup" if (self._group / "cpuacct.usage").exists() else "cpu.stat of a cgroup"

    def seconds(self) -> float:
        """CPU spent until now."""
        if self._group is None:
            with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123 -- read often
                words = [int(each) for each in file.readline().split()[1:]]
            return (sum(words[:3]) + sum(words[5:7])) / os.sysconf("SC_CLK_TCK")
        if (self._group / "cpuacct.usage").exists():
            return int((self._group / "cpuacct.usage").read_text()) / 1e9
        return int((self._group / "cpu.stat").read_text().split()[1]) / 1e6


@contextmanager
def metered() -> Iterator[CpuMeter]:
    """A cgroup for this process, removed when the block ends."""
    name = f"toolward-bench-{os.getpid()}"
    for root in map(Path, ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup")):
        group = root / name
        try:
            group.mkdir()
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            with suppress(OSError):
                group.rmdir()
            continue
        try:
            yield CpuMeter(group)
        finally:
            with suppress(OSError):
                (root / "cgroup.procs").write_text(str(os.getpid()))
                group.rmdir()
        return
    yield CpuMeter(None)


# --- one kind of cage --------------------------------------------------------------------------------


async def measure(sandbox: CagedSandbox, name: str, granted: Path, meter: CpuMeter) -> Figures:
    """All figures of one kind of cage."""
    reused = 0
    calls = 0

    async def one(scope: Scope) -> float:
        nonlocal reused, calls
        ended, took = await timed(lambda: sandbox.run(_JOB, scope))
        if not isinstance(ended, Value):
            raise SandboxUnavailable(f"a call of the benchmark failed: {ended}", remedy="see what it says")
        reused += bool(ended.value)
        calls += 1
        answered = sum(each for _, each in ended.ran.steps) / 1_000
        return min(took, answered)

    nothing = Scope()
    await sandbox.prepare(nothing, workers=4)
    armed = [await one(nothing) for _ in range(CALLS * ROUNDS) if await refilled(sandbox, nothing)]
    grant = PathGrant(str(granted), PathAccess.WRITE, str(granted))
    scope = Scope(paths=(grant,))
    scoped, gone = [], []
    for _ in range(CALLS):
        await refilled(sandbox, nothing)
        began = time.perf_counter()
        scoped.append(await one(scope))
        gone.append((time.perf_counter() - began) * 1_000)
    cpu = []
    for _ in range(ROUNDS):
        await asyncio.sleep(_SETTLE_S)
        before = meter.seconds()
        for _ in range(CALLS):
            await one(nothing)
        await asyncio.sleep(_SETTLE_S)  # what is undone after the answer is theirs, too
        cpu.append((meter.seconds() - before) * 1_000 / CALLS)
    pss = await memory(sandbox, nothing)
    rate = await flood(one, nothing)
    return Figures(name, armed, scoped, gone, min(cpu), rate, pss, reused, calls)


async def timed(work: Callable[[], Awaitable[Ended]]) -> tuple[Ended, float]:
    """The result, and milliseconds."""
    began = time.perf_counter()
    ended = await work()
    return ended, (time.perf_counter() - began) * 1_000


async def refilled(sandbox: CagedSandbox, scope: Scope) -> bool:
    """Wait until ready workers stand by: start-up is measured, not the pool's size."""
    for key in (LaneKey(network=False, scope=scope), LaneKey(network=False)):
        while sandbox.pool.ready(key) < 2:  # noqa: PLR2004 -- one to take, one that is surely ready
            sandbox.pool.replenish()
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.004)
    return True


async def flood(one: Callable[[Scope], Awaitable[float]], scope: Scope) -> float:
    """Calls per second at `AT_ONCE` at a time."""
    until = time.perf_counter() + FLOOD_S
    began = time.perf_counter()

    async def worker() -> int:
        done = 0
        while time.perf_counter() < until:
            await one(scope)
            done += 1
        return done

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(worker()) for _ in range(AT_ONCE)]
    return sum(each.result() for each in running) / (time.perf_counter() - began)


async def memory(sandbox: CagedSandbox, scope: Scope) -> float:
    """Proportional memory of one armed worker, its helper included, in MiB."""
    await sandbox.prepare(scope, workers=8)
    await asyncio.sleep(_SETTLE_S)
    pids = sandbox.pool.living()
    return sum(_pss(pid) for pid in pids) / max(1, len(pids)) / _MIB


def _pss(pid: int) -> int:
    total, todo = 0, [pid]
    while todo:
        each = todo.pop()
        with suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                total += int(line.split()[1]) * 1_024 if line.startswith("Pss:") else 0
            for task in Path(f"/proc/{each}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return total


# --- plain processes ---------------------------------------------------------------------------------


def measure_plain(name: str, command: list[str], meter: CpuMeter) -> list[Row]:
    """Fork and exec, and the end of it."""
    took: list[float] = []
    before = meter.seconds()
    for _ in range(CALLS // 2):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, env={})
        took.append((time.perf_counter() - began) * 1_000)
    cpu = (meter.seconds() - before) * 1_000 / len(took)
    return [
        Row(f"{name}: p50", round(quantile(took, 0.5), 2), "ms"),
        Row(f"{name}: p99", round(quantile(took, 0.99), 2), "ms"),
        Row(f"{name}: CPU per call", round(cpu, 2), "ms"),
    ]


def median(values: list[float]) -> float:
    """The lowest median of `ROUNDS` parts of them: other programs only ever add."""
    size = len(values) // ROUNDS
    return min(quantile(values[at : at + size], 0.5) for at in range(0, size * ROUNDS, size))


def quantile(values: list[float], part: float) -> float:
    """The value below which that part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


# --- the tables --------------------------------------------------------------------------------------


def rows_of(each: Figures, bare: Figures | None) -> Iterator[Row]:
    """One kind of cage; the goals are those of the default tier."""
    strict = each.name == IsolationLevel.NAMESPACES.value
    armed, scoped = median(each.armed_ms), median(each.scoped_ms)
    goals = [f"<= {limit:g}" if strict else "" for limit in (ARMED_MS_MAX, SCOPED_MS_MAX)]
    ok = [not strict or armed <= ARMED_MS_MAX, not strict or scoped <= SCOPED_MS_MAX]
    yield Row(f"{each.name}: armed ahead, best p50 of {ROUNDS}", round(armed, 2), "ms", goals[0], ok[0])
    yield Row(f"{each.name}: armed ahead, p99", round(quantile(each.armed_ms, 0.99), 2), "ms")
    yield Row(f"{each.name}: scoped per call, best p50 of {ROUNDS}", round(scoped, 2), "ms", goals[1], ok[1])
    yield Row(f"{each.name}: scoped per call, p99", round(quantile(each.scoped_ms, 0.99), 2), "ms")
    yield Row(
        f"{each.name}: until nothing is left, best p50 of {ROUNDS}", round(median(each.gone_ms), 2), "ms"
    )
    yield Row(f"{each.name}: at {AT_ONCE} at once", round(each.per_second), "calls/s")
    yield Row(f"{each.name}: CPU per call", round(each.cpu_ms, 2), "ms")
    if bare is not None:
        ratio = each.cpu_ms / bare.cpu_ms
        goal = f"<= {CPU_RATIO_MAX:g}"
        yield Row(f"{each.name}: CPU beside a fork alone", round(ratio, 2), "x", goal, ratio <= CPU_RATIO_MAX)
    yield Row(f"{each.name}: memory of a ready worker", round(each.pss_mib, 2), "MiB PSS")
    what = f"{each.name}: workers that served two of {each.calls} calls"
    yield Row(what, each.reused, "workers", "0", each.reused == 0)


async def cages(granted: Path, meter: CpuMeter) -> list[Row]:
    """Every tier that is reached here, and the same worker without a cage."""
    bare = await UnsafeNoSandbox.open(Settings())
    try:
        control = await measure(bare, "fork alone", granted, meter)
    finally:
        await bare.close()
    rows = list(rows_of(control, None))
    for tier in (IsolationLevel.NAMESPACES, IsolationLevel.LANDLOCK):
        try:
            sandbox = await CagedSandbox.open(Settings(tier=tier))
        except SandboxUnavailable as error:
            rows.append(
                Row(tier.value, f"not reached here: {error.reason.text}", holds=False, goal="reached")
            )
            continue
        try:
            rows += rows_of(await measure(sandbox, tier.value, granted, meter), control)
        finally:
            await sandbox.close()
    return rows + await measure_wasm(meter)


async def measure_wasm(meter: CpuMeter) -> list[Row]:
    """Pure compute: a store for each call and no process; where the extra is missing, a row says so."""
    try:
        sandbox = WasmSandbox()
    except SandboxUnavailable as error:
        return [Row("wasm", f"not measured: {error.reason.remedy}")]
    job = WasmJob(module=_ADD, function="f", arguments=(2, 3))
    await sandbox.run(job, Scope())  # compiled once, as for every call of a module that is kept
    took: list[float] = []
    before = meter.seconds()
    for _ in range(CALLS):
        began = time.perf_counter()
        await sandbox.run(job, Scope())
        took.append((time.perf_counter() - began) * 1_000)
    cpu = (meter.seconds() - before) * 1_000 / len(took)
    await sandbox.close()
    return [
        Row("wasm: one call, p50", round(quantile(took, 0.5), 2), "ms"),
        Row("wasm: one call, p99", round(quantile(took, 0.99), 2), "ms"),
        Row("wasm: CPU per call", round(cpu, 2), "ms"),
    ]


def main() -> None:
    """Measure, print, write `build/reports/bench_sandbox.json`; exit code 1 when a goal is missed."""
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place, metered() as meter:
        Path(place).chmod(0o755)
        granted = Path(place, "granted")
        granted.mkdir()
        granted.chmod(0o777)
        rows = [
            Row(f"load average before, {os.cpu_count()} processors", load),
            Row("CPU is read from", meter.how),
            *measure_plain("fork and exec of true", ["/bin/true"], meter),
            *measure_plain("fork and exec of python -I -S", [sys.executable, "-I", "-S", "-c", ""], meter),
        ]
        bwrap = shutil.which("bwrap")
        if bwrap:
            rows += measure_plain("bwrap true", [bwrap, *_BWRAP.split(), "/bin/true"], meter)
        else:
            rows.append(Row("bwrap", "not installed"))
        rows += asyncio.run(cages(granted, meter))
    rows.append(Row("load average after", round(os.getloadavg()[0], 2)))
    write_report("bench_sandbox", rows)
    sys.exit(0 if all(row.holds for row in rows) else 1)


if __name__ == "__main__":
    main()
