"""What each safeguard costs on the hot path, and what ten thousand waiting calls cost while nothing happens.

Run `python -m toolward.lab.bench_safeguards`. Calls go through the whole corridor, 32 in flight, to a server
in this process that answers at once; the store is SQLite, durable. Every kind is measured in turns, round
after round in one run, and the figure is its best round: CPU of the whole process for each call, and its
ratio to the plain governed write beside it.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.bootstrap.assembly import House, close_house
from toolward.errors import ReasonCode, ToolwardError
from toolward.governance.desk import invoke
from toolward.kernel.approvals.ground import put_approval
from toolward.kernel.attempt import IDEMPOTENCY_META, Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.safeguards.escrow import HELD
from toolward.lab.report import Row, write_report
from toolward.lab.scripted import ScriptedServer, open_scripted
from toolward.model.approval import Approval, ApprovalState
from toolward.model.call import Action, Reply
from toolward.model.decision import ApprovalNeed
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.ports.store import Put, Table
from toolward.rules.canonical import canonical

IN_FLIGHT: Final = 32
CALLS: Final = 1_500
ROUNDS: Final = 4
AGREED_MAX: Final = 90
"""Calls with an approval in one round: a session may have about so many open questions."""
PENDING: Final = 10_000
IDLE_S: Final = 5.0
RATIO_GOAL: Final = 1.5
IDLE_GOAL_S: Final = 0.05
"""CPU of five idle seconds: what a process that only waits uses, and a little more."""

_TOOLS: Final = ("read", "write", "touch", "quick", "again", "asked")
_TRUSTED: Final = "result: {integrity: trusted, confidentiality: public}"
_MANIFEST: Final = f"""\
server: world
tools:
  read: {{effect: read_only, egress: false, {_TRUSTED}}}
  write: {{effect: reversible, egress: false, {_TRUSTED}}}
  touch: {{effect: reversible, egress: false, {_TRUSTED}, undo: {{resources: ["file:{{arg:path}}"]}}}}
  quick: {{effect: reversible, egress: false, {_TRUSTED}, undo: {{escrow: {{delay_s: 60}}}}}}
  again: {{effect: reversible, egress: false, {_TRUSTED}}}
  asked: {{effect: reversible, egress: false, {_TRUSTED}}}
"""
_POLICY: Final = """\
@id("asked") @ask("user") @reason("a person agrees")
forbid (principal, action in Toolward::Action::"call", resource == Toolward::Tool::"world/asked");
"""
_FILES: Final = {"tools/world.yaml": _MANIFEST, "policies/bench.cedar": _POLICY}
_AGENT: Final = Principal(user="ann", agent="bench", credential="os:ann", kind=CredentialKind.OS_USER)
_PERSON: Final = Principal(user="ann", agent="cli", credential="bench", kind=CredentialKind.PERSON)
_CREDENTIAL: Final = credential_body(name="bench", user="ann", agent="cli", kind=CredentialKind.PERSON)


@dataclass(slots=True)
class Kind:
    """One kind of call; `params` are those of call number n."""

    name: str
    tool: str
    meta: Callable[[int], Mapping[str, Any]] = lambda _: {}
    path: Callable[[int], str] = lambda _: "/srv/one"
    agreed: bool = False  # a person agrees to each call beforehand, which is not measured
    judged: bool = True
    rounds: list[float] = field(default_factory=list)


def kinds() -> list[Kind]:
    """The plain governed write first: it is what the others are held against."""
    return [
        Kind("governed write: intent and outcome", "write"),
        Kind("read: one merged record, no intent", "read"),
        Kind("write with a new idempotency key", "write", meta=lambda n: {IDEMPOTENCY_META: f"key-{n}"}),
        Kind("retry of a key: the kept result", "again", meta=lambda _: {IDEMPOTENCY_META: "one"}),
        Kind("write on one resource: calls take turns, one in each commit", "touch", judged=False),
        Kind("write on a resource that is new", "touch", path=lambda n: f"/srv/{n}"),
        Kind("escrow declared, and not applying", "quick"),
        Kind(
            "write with an approval, used up by it",
            "asked",
            path=lambda n: f"/srv/{n}",
            agreed=True,
            judged=False,
        ),
    ]


async def measure(folder: Path, *, calls: int = CALLS, rounds: int = ROUNDS) -> list[Row]:
    """Every kind in turns; raises `RuntimeError` for a call that was refused, which would be cheap."""
    clock, ids = SystemClock(), SystemIds()
    store = SqliteStore.open(folder / "state", origin="bench/safeguards", clock=clock, ids=ids)
    server = ScriptedServer(_TOOLS, ("path",))
    house = await open_scripted(folder, server, _FILES, store=store, clock=clock, ids=ids)
    await store.commit([], [Put(Table.CREDENTIAL, credential_key("bench"), _CREDENTIAL)])
    try:
        opened = await house.gateway.open_session(_AGENT, SessionOrigin.HANDLE)
        numbers, all_kinds = itertools.count(), kinds()
        for _ in range(rounds):
            for kind in all_kinds:
                kind.rounds.append(await _round(house, opened.session_id, kind, numbers, calls))
        return rows_of(all_kinds)
    finally:
        await close_house(house)
        await store.close()


async def _round(
    house: House, session_id: str, kind: Kind, numbers: itertools.count[int], calls: int
) -> float:
    """CPU microseconds for each call."""
    calls = min(calls, AGREED_MAX) if kind.agreed else calls
    todo = [
        {"name": kind.tool, "arguments": {"path": kind.path(n)}, "_meta": dict(kind.meta(n))}
        for n in itertools.islice(numbers, calls)
    ]
    if kind.agreed:
        for params in todo:
            await _agree(house, await house.gateway.perform(_attempt(session_id, params), QuietExchange()))
    left = iter(todo)

    async def caller() -> None:
        for params in left:
            _must(await house.gateway.perform(_attempt(session_id, params), QuietExchange()))

    start = time.process_time()
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return (time.process_time() - start) / calls * 1e6


async def _agree(house: House, reply: Reply) -> None:
    """As the user, to what a call asks for."""
    if reply.error is None or reply.error.data["code"] != ReasonCode.APPROVAL_REQUIRED.value:
        raise RuntimeError(f"a call that asks was not asked for: {reply.error}")
    approval = str(reply.error.data["details"]["approval"])
    _ = await invoke(house.desk, "approvals.approve", {"approval": approval}, _PERSON)


def _attempt(session_id: str, params: Mapping[str, Any]) -> Attempt:
    return Attempt(
        principal=_AGENT, session_id=session_id, action=Action.CALL_TOOL, params=params, server="world"
    )


def _must(reply: Reply) -> None:
    if reply.error is not None:
        raise RuntimeError(f"a call was refused: {reply.error.message}")


def rows_of(measured: list[Kind]) -> list[Row]:
    """CPU for each call, and the ratio beside the plain write."""
    plain = min(measured[0].rounds)
    rows: list[Row] = []
    for kind in measured:
        best = min(kind.rounds)
        rows.append(Row(f"CPU per call: {kind.name}", round(best, 1), "us"))
        judged = kind.judged and kind is not measured[0]
        rows.append(
            Row(
                f"beside the governed write: {kind.name}",
                round(best / plain, 2),
                "x",
                f"<= {RATIO_GOAL}" if judged else "",
                not judged or best / plain <= RATIO_GOAL,
            )
        )
    spread = statistics.pstdev(measured[0].rounds) / statistics.mean(measured[0].rounds)
    return [*rows, Row("spread of the governed write between rounds", round(spread * 100, 1), "%")]


async def idle(folder: Path, *, pending: int = PENDING, seconds: float = IDLE_S) -> list[Row]:
    """CPU while so many calls are held, or questions wait for people; and with none, as the control."""
    rows: list[Row] = []
    for count, what in ((0, "held calls"), (pending, "held calls"), (pending, "questions")):
        spent = await _idle(
            folder / f"{what}-{count}", _held if what == "held calls" else _asked, count, seconds
        )
        goal = f"<= {IDLE_GOAL_S}" if count else ""
        name = f"CPU of {seconds:.0f} idle seconds, {count} {what if count else 'held calls or questions'}"
        rows.append(Row(name, round(spent, 4), "s", goal, not count or spent <= IDLE_GOAL_S))
    return rows


async def _idle(folder: Path, row: Callable[[int, int], Put], count: int, seconds: float) -> float:
    """CPU seconds of a house with that many rows, with everything running that a daemon runs for them."""
    clock, ids = SystemClock(), SystemIds()
    place = folder / "ward"
    place.mkdir(parents=True)
    store = SqliteStore.open(folder / "state", origin="bench/idle", clock=clock, ids=ids)
    until_ns = clock.now_ns() + 3_600_000_000_000
    for start in range(0, count, 500):
        await store.commit([], [row(n, until_ns + n) for n in range(start, min(start + 500, count))])
    server = ScriptedServer(_TOOLS, ("path",))
    house = await open_scripted(place, server, _FILES, store=store, clock=clock, ids=ids)
    if row is _asked and house.parts.approvals.watch.count() != count:
        raise RuntimeError("the questions were not taken up")
    trouble: list[ToolwardError] = []
    keeping = [
        asyncio.create_task(house.parts.safeguards.releases.keep()),
        asyncio.create_task(house.parts.approvals.watch.run(trouble.append)),
        asyncio.create_task(house.pruning.run(trouble.append)),
    ]
    await asyncio.sleep(0.2)  # what starting left to do
    start_cpu = time.process_time()
    await asyncio.sleep(seconds)
    spent = time.process_time() - start_cpu
    for task in keeping:
        task.cancel()
    await asyncio.gather(*keeping, return_exceptions=True)
    await close_house(house)
    await store.close()
    if trouble:
        raise RuntimeError(trouble[0].diagnostics())
    return spent


def _asked(number: int, until_ns: int) -> Put:
    """A question that waits, of a session of its own."""
    need = ApprovalNeed(policies=("asked",), roles=("user",))
    approval = Approval(
        approval_id=f"{number:032x}",
        question=f"q{number}",
        subject=f"s{number}",
        state=ApprovalState.PENDING,
        call={"principal": _AGENT.as_json(), "session_id": f"s{number}"},
        call_id=f"c{number}",
        tool="world/asked",
        version="",
        need=need,
        reason="a person agrees",
        remedy="",
        lineage=(),
        frozen=True,
        asked_ms=until_ns // 1_000_000 - 3_600_000,
        expires_ms=until_ns // 1_000_000,
    )
    return put_approval(approval, expect=0)


def _held(number: int, until_ns: int) -> Put:
    """A call that is held, of a session of its own."""
    held = canonical(
        {
            "principal": _AGENT.as_json(),
            "session_id": f"s{number}",
            "action": "tools/call",
            "target": "quick",
            "server": "world",
            "era": "2026-07-28",
            "args_digest": "",
            "idempotency_key": "",
            "escrow_id": f"esc_{number:032x}",
            "tool": "world/quick",
            "state": HELD,
            "held_call": "",
            "held_ns": "0",
            "release_ns": str(until_ns),
            "until_seal": False,
        }
    )
    return Put(Table.ESCROW, f"esc_{number:032x}", held)


def main() -> None:
    """Measure and report; the directory for the files may be given as the argument."""
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for what in (measure, idle):
        with tempfile.TemporaryDirectory(dir=place) as folder:
            rows += uvloop.run(what(Path(folder)))
    write_report("bench-safeguards", rows)


if __name__ == "__main__":
    main()
