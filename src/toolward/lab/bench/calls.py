"""Part 1: CPU and throughput of one governed call, beside no gateway and beside other gateways."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from toolward.lab.bench.client import HANDSHAKE, STATELESS, Address
from toolward.lab.bench.floor import QUIET_CPU_MS, QUIET_RATE
from toolward.lab.bench.gateway import READ, WRITE, Prepared, daemon, floor
from toolward.lab.bench.peers import FASTMCP, POLICY_GATEWAY, fastmcp_proxy, policy_gateway
from toolward.lab.bench.processes import LineProcess, cpu_s
from toolward.lab.report import Row
from toolward.lab.toolchain import SetupFailed

DIRECT: Final = "direct, no gateway"
OURS: Final = "toolward, write, handshake era"
OURS_STATELESS: Final = "toolward, write, stateless era"
OURS_READ: Final = "toolward, approved read"
SHARED: Final = f"{FASTMCP} proxy, shared client"
DEFAULT: Final = f"{FASTMCP} proxy, default"
GUARD: Final = POLICY_GATEWAY
FLOOR: Final = "floor: the least a durable governed call costs"
EVERYTHING: Final = frozenset({DIRECT, OURS, OURS_STATELESS, OURS_READ, SHARED, DEFAULT, GUARD, FLOOR})
IN_FLIGHT: Final = (1, 32)
CPU_GOAL_MS: Final = 0.4
RATE_GOAL: Final = 2_000
RATIO_GOALS: Final[Mapping[str, float]] = {SHARED: 8.0, DEFAULT: 30.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called, and the process tree that is charged for it."""

    name: str
    pid: int
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round's figures. Times in milliseconds."""

    rps: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    wrong: int
    first_wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure, and what."""

    rounds: int
    seconds: float
    targets: frozenset[str] = EVERYTHING
    in_flight: tuple[int, ...] = IN_FLIGHT


class Load:
    """The load process, and what it costs the target."""

    def __init__(self) -> None:
        """Start it."""
        self._process = LineProcess("toolward.lab.bench.load")

    def run(self, target: Target, *, connections: int, seconds: float, rate: float = 0.0) -> Round:
        """One round; with `rate` an open loop of that many calls a second. Raises `SetupFailed`."""
        job = {
            "address": asdict(target.address),
            "connections": connections,
            "seconds": seconds,
            "rate": rate,
        }
        self._process.tell(job)
        opened = self._process.hear()
        if not opened["ready"]:
            raise SetupFailed(f"{target.name} could not be called: {opened['first_wrong']}")
        before = cpu_s(target.pid)
        self._process.tell("go")
        seen = self._process.hear()
        spent = cpu_s(target.pid) - before
        calls = max(seen["calls"], 1)
        return Round(
            rps=seen["calls"] / seen["elapsed_s"],
            p50_ms=seen["p50_ms"],
            p99_ms=seen["p99_ms"],
            cpu_ms=spent / calls * 1_000,
            wrong=seen["wrong"],
            first_wrong=seen["first_wrong"],
        )

    def close(self) -> None:
        """End the process."""
        self._process.close()


@contextlib.contextmanager
def loading() -> Iterator[Load]:
    """The load process until the block ends."""
    load = Load()
    try:
        yield load
    finally:
        load.close()


Found = dict[tuple[str, int], Round]


def measure(
    direct: Target, ward: Prepared, load: Load, effort: Effort, say: Console
) -> tuple[Found, list[Row]]:
    """The effort's targets at each concurrency, rounds interleaved.

    Medians, and a row for what could not be run.
    """
    with contextlib.ExitStack() as stack:
        pid, port = stack.enter_context(daemon(ward))
        targets = [
            direct,
            Target(name=OURS, pid=pid, address=ward.address(port, WRITE, HANDSHAKE)),
            Target(name=OURS_STATELESS, pid=pid, address=ward.address(port, WRITE, STATELESS)),
            Target(name=OURS_READ, pid=pid, address=ward.address(port, READ, HANDSHAKE)),
        ]
        targets = [target for target in targets if target.name in effort.targets]
        missing: list[Row] = []
        for name, starting in (
            (FLOOR, floor(direct.address.url)),
            (SHARED, fastmcp_proxy(direct.address.url, shared=True)),
            (DEFAULT, fastmcp_proxy(direct.address.url, shared=False)),
            (GUARD, policy_gateway(direct.address.url)),
        ):
            if name not in effort.targets:
                continue
            with say.status(f"starting {name} (fetched once)"):
                try:
                    peer, address = stack.enter_context(starting)
                except SetupFailed as error:
                    missing.append(Row(what=f"{name} could not be started", figure=str(error)[-300:]))
                    continue
            targets.append(Target(name=name, pid=peer, address=address))
        rounds: dict[tuple[str, int], list[Round]] = {}
        for turn in range(effort.rounds):
            for target in targets:
                for width in effort.in_flight:
                    with say.status(f"round {turn + 1} of {effort.rounds}: {target.name}, {width} in flight"):
                        try:
                            seen = load.run(target, connections=width, seconds=effort.seconds)
                        except SetupFailed as error:
                            missing.append(Row(what=f"{target.name}, {width} in flight", figure=str(error)))
                            continue
                    rounds.setdefault((target.name, width), []).append(seen)
    return {key: _median(seen) for key, seen in rounds.items()}, missing


def _median(rounds: Sequence[Round]) -> Round:
    def middle(pick: str) -> float:
        return median(float(getattr(each, pick)) for each in rounds)

    return Round(
        rps=middle("rps"),
        p50_ms=middle("p50_ms"),
        p99_ms=middle("p99_ms"),
        cpu_ms=middle("cpu_ms"),
        wrong=sum(each.wrong for each in rounds),
        first_wrong=next((each.first_wrong for each in rounds if each.first_wrong), ""),
    )


def rows_of(found: Found) -> list[Row]:
    """The figures with their goals, then the ratios."""
    rows: list[Row] = []
    for (name, width), seen in sorted(found.items(), key=lambda item: item[0][1]):
        rows += [
            _row(name, width, "calls", round(seen.rps), "1/s"),
            _row(name, width, "CPU per call", seen.cpu_ms, "ms"),
            _row(name, width, "p50", seen.p50_ms, "ms"),
            _row(name, width, "p99", seen.p99_ms, "ms"),
        ]
        if seen.wrong:
            shown = f"{seen.wrong}: {seen.first_wrong}"
            rows.append(Row(f"{name}, {width} in flight: wrong replies", shown, "", "none", holds=False))
    return rows + at_quiet_speed(found) + ratios(found)


def at_quiet_speed(found: Found) -> list[Row]:
    """What the budgets say of a quiet machine, on this one: by how it compares with the floor in this run."""
    width = IN_FLIGHT[-1]
    ours, least = found.get((OURS, width)), found.get((FLOOR, width))
    if ours is None or least is None or not least.cpu_ms:
        return [Row("no floor to compare with", "", "", "a floor", holds=False)]
    cpu_ms = ours.cpu_ms / least.cpu_ms * QUIET_CPU_MS
    rate = round(ours.rps / least.rps * QUIET_RATE)
    quiet = f"where the floor takes {QUIET_CPU_MS} ms and serves {QUIET_RATE}/s"
    return [
        _row(OURS, width, "CPU over the floor's", round(ours.cpu_ms / least.cpu_ms, 2), "x"),
        _row(OURS, width, f"CPU per call {quiet}", cpu_ms, "ms", CPU_GOAL_MS),
        _row(OURS, width, f"calls {quiet}", rate, "1/s", RATE_GOAL, more=True),
    ]


def ratios(found: Found) -> list[Row]:
    """How many times the CPU of a governed write a peer's ungoverned relay takes."""
    rows: list[Row] = []
    for width in IN_FLIGHT:
        ours = found.get((OURS, width))
        for peer in (SHARED, DEFAULT, GUARD):
            theirs = found.get((peer, width))
            if ours is None or theirs is None or not ours.cpu_ms:
                continue
            goal = RATIO_GOALS.get(peer) if width == IN_FLIGHT[-1] else None
            times = round(theirs.cpu_ms / ours.cpu_ms, 1)
            rows.append(_row(f"CPU of {peer} over a toolward write", width, "", times, "x", goal, more=True))
    return rows


def _row(  # noqa: PLR0913 -- one for each column
    name: str,
    width: int,
    what: str,
    figure: float,
    unit: str,
    goal: float | None = None,
    *,
    more: bool = False,
) -> Row:
    title = f"{name}, {width} in flight{': ' if what else ''}{what}"
    if goal is None:
        return Row(title, round(figure, 3), unit)
    holds = figure >= goal if more else figure <= goal
    return Row(title, round(figure, 3), unit, f"{'>=' if more else '<='} {goal:g}", holds)


def show(say: Console, found: Found) -> None:
    """One line for each target and concurrency, the cheapest first, as people compare them."""
    table = Table(title="one call")
    for heading in ("target", "in flight", "calls/s", "p50 ms", "p99 ms", "CPU ms per call"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for (name, width), seen in sorted(found.items(), key=lambda item: (item[0][1], item[1].cpu_ms)):
        waits = (f"{seen.p50_ms:.2f}", f"{seen.p99_ms:.2f}", f"{seen.cpu_ms:.3f}")
        table.add_row(name, str(width), f"{seen.rps:,.0f}", *waits)
    say.print(table)
