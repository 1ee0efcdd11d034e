"""Every interleaving of two sessions on two resources, through the real kernel: always undoable or refused.

Run `python -m toolward.lab.interleavings [EFFECTS]` (of each session: default 2, at most 3). One resource is
a repository, whose conflicts are refused; the other is a database, whose conflicts wait. Each session makes
its effects and then ends: sealed, or rolled back by the gateway's own engine. One tool can not be undone and
is held until the seal. After each schedule it is checked that

- every rollback was whole: no undo found its resource other than the effect had left it,
- what remains is exactly the work of sealed sessions, in the order in which it was done,
- nothing that can not be undone went out on work that was not settled,
- nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.bootstrap.assembly import House, close_house
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.lab.report import Row, write_report
from toolward.lab.scripted import PERSON, ScriptedServer, open_scripted
from toolward.model.call import Action, Intent, RawOutcome, Reply, Returned
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.ports.upstream import Exchange

REPOSITORY, DATABASE, PUBLISH, LOOK = "repo", "db", "publish", "look"
SEAL, ROLL_BACK = "seal", "roll back"
SCHEDULES_EACH_HOUSE: Final = 150
"""The memory store copies its state with each commit, so a new one now and then is quicker."""
SETTLED_TURNS: Final = 80
"""Turns of the event loop after which a step that goes on at all has ended."""
EFFECTS_MAX: Final = 3
HUNG_S: Final = 1.0
"""When all steps were let go, whoever has not ended after this waits for ever."""

_AGENTS: Final = tuple(
    Principal(user=user, agent="lab", credential=f"os:{user}", kind=CredentialKind.OS_USER)
    for user in ("ann", "ben")
)
_MANIFEST: Final = """\
server: world
tools:
  look: {effect: read_only, egress: false}
  repo:
    effect: reversible
    egress: false
    undo:
      resources: ["repo:{arg:at}"]
      conflicts: refuse
      compensate:
        tool: repo
        arguments: {at: /input/at, value: /output/structuredContent/before}
        precondition: {tool: look, arguments: {at: /input/at}}
  db:
    effect: compensable
    egress: false
    undo:
      resources: ["db:{arg:at}"]
      conflicts: serialize
      compensate:
        tool: db
        arguments: {at: /input/at, value: /output/structuredContent/before}
        precondition: {tool: look, arguments: {at: /input/at}}
  publish:
    effect: irreversible
    egress: true
    undo: {escrow: {until_seal: true}, resources: ["db:{arg:at}"]}
"""
_FILES: Final = {"tools/world.yaml": _MANIFEST}


@dataclass(frozen=True, slots=True)
class Schedule:
    """What each session does, how each ends, and whose turn it is."""

    effects: tuple[tuple[str, ...], tuple[str, ...]]
    ends: tuple[str, str]
    turns: tuple[int, ...]

    def words(self) -> str:
        """As it is told when it went wrong."""
        place, steps = [0, 0], []
        for who in self.turns:
            todo = (*self.effects[who], self.ends[who])
            steps.append(f"{'AB'[who]} {todo[place[who]]}")
            place[who] += 1
        return ", ".join(steps)


@dataclass(slots=True)
class Tried:
    """What was tried, what became of the effects, and what was wrong."""

    schedules: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class TwoResources(ScriptedServer):
    """Writes to a dictionary, and remembers what really happened."""

    def __init__(self) -> None:
        super().__init__((REPOSITORY, DATABASE, PUBLISH, LOOK), ("at", "value"))
        self.state: dict[str, str] = {}
        self.writers: dict[str, str] = {}  # resource -> the session that wrote last
        self.published: list[tuple[str, str]] = []  # (session, whose work it went out on)

    @override
    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """Write, and tell what was there before."""
        del intent, exchange
        call, name = permit.labelled.call, permit.labelled.resolved.name
        place, session = str(call.arguments["at"]), call.session.session_id
        await asyncio.sleep(0)  # others may come in between
        if name == LOOK:
            return Returned(
                result={"content": [], "structuredContent": {"is": self.state.get(place, "")}}, size_bytes=0
            )
        if name == PUBLISH:
            self.published.append((session, self.writers.get(place, session)))
            return Returned(result={"content": []}, size_bytes=0)
        before = self.state.get(place, "")
        self.state[place] = str(call.arguments["value"])
        self.writers[place] = session
        return Returned(result={"content": [], "structuredContent": {"before": before}}, size_bytes=0)


# --- one schedule ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """One session on its way."""

    session_id: str
    principal: Principal
    verdicts: list[str] = field(default_factory=list)
    sealed: bool = False
    stuck: list[str] = field(default_factory=list)


class Stage:
    """A house in which schedules are played one after the other, each on resources of its own."""

    def __init__(self, house: House, world: TwoResources) -> None:
        self._house = house
        self._world = world
        self._count = itertools.count()

    async def play(self, schedule: Schedule) -> tuple[list[str], Counter[str]]:
        """What was wrong with it (nothing, one hopes), and what became of each effect."""
        number = next(self._count)
        self._world.state.clear()
        self._world.writers.clear()
        self._world.published.clear()
        runs = [await self._run(principal) for principal in _AGENTS]
        turns: list[asyncio.Queue[None]] = [asyncio.Queue(), asyncio.Queue()]
        order: list[tuple[Run, str, str]] = []
        going = [
            asyncio.create_task(
                self._walk(run, (*schedule.effects[n], schedule.ends[n]), turns[n], (number, order))
            )
            for n, run in enumerate(runs)
        ]
        for who in schedule.turns:
            turns[who].put_nowait(None)
            for _ in range(SETTLED_TURNS):
                await asyncio.sleep(0)
        wrong: list[str] = []
        _, hung = await asyncio.wait(going, timeout=HUNG_S)
        for task in hung:
            task.cancel()
            wrong.append("somebody waits for ever")
        ended = await asyncio.gather(*going, return_exceptions=True)
        wrong += [f"a bug: {error!r}" for error in ended if isinstance(error, Exception)]
        wrong += self._judge(runs, order)
        return wrong, Counter(verdict for run in runs for verdict in run.verdicts)

    async def _run(self, principal: Principal) -> Run:
        opened = await self._house.gateway.open_session(principal, SessionOrigin.HANDLE)
        return Run(opened.session_id, principal)

    async def _walk(
        self,
        run: Run,
        steps: Sequence[str],
        turns: asyncio.Queue[None],
        shared: tuple[int, list[tuple[Run, str, str]]],
    ) -> None:
        number, order = shared
        for place, step in enumerate(steps):
            await turns.get()
            if step == SEAL:
                await self._house.gateway.safeguards.seals(run.session_id, by=PERSON)
                run.sealed = True
            elif step == ROLL_BACK:
                await self._roll_back(run)
            else:
                at = f"/{number}/{DATABASE if step == PUBLISH else step}"
                value = f"{run.principal.user}{place}"
                reply = await self._call(run, step, {"at": at, "value": value})
                run.verdicts.append(_verdict(reply))
                if reply.result is not None and step != PUBLISH:
                    order.append((run, at, value))

    async def _call(self, run: Run, tool: str, arguments: Mapping[str, Any]) -> Reply:
        attempt = Attempt(
            principal=run.principal,
            session_id=run.session_id,
            action=Action.CALL_TOOL,
            params={"name": tool, "arguments": arguments},
            server="world",
        )
        return await self._house.gateway.perform(attempt, QuietExchange())

    async def _roll_back(self, run: Run) -> None:
        """By the gateway's own engine; anything but a whole rollback is a violation."""
        row = await invoke(self._house.desk, "sessions.rollback", {"session": run.session_id}, PERSON)
        if row["state"] != "COMPENSATED":
            run.stuck += [f"{left['tool']}: {left['reason']}" for left in row["residuals"]]

    def _judge(self, runs: Sequence[Run], order: Sequence[tuple[Run, str, str]]) -> list[str]:
        wrong = [f"an undo was stuck: {text}" for run in runs for text in run.stuck]
        expected = {at: value for run, at, value in order if run.sealed}  # the last one stays
        left = {at: value for at, value in self._world.state.items() if value}
        if left != expected:
            wrong.append(f"what remains is {left}, and sealed was {expected}")
        sealed = {run.session_id for run in runs if run.sealed}
        for session, base in self._world.published:
            if session not in sealed or (base not in sealed and base in {run.session_id for run in runs}):
                wrong.append("something irreversible went out on work that was not settled")
        return wrong


def _verdict(reply: Reply) -> str:
    if reply.error is None:
        return "done"
    data = reply.error.data
    return str(data.get("code")) if isinstance(data, dict) else "error"


# --- all of them -------------------------------------------------------------------------------------


def schedules(effects: int) -> Iterator[Schedule]:
    """Every one with that many effects in each session."""
    kinds = (REPOSITORY, DATABASE, PUBLISH) if effects < EFFECTS_MAX else (REPOSITORY, DATABASE)
    each = list(itertools.product(kinds, repeat=effects))
    steps = effects + 1
    for mine in itertools.combinations(range(2 * steps), steps):
        turns = tuple(0 if place in mine else 1 for place in range(2 * steps))
        for both in itertools.product(each, repeat=2):
            for ends in itertools.product((SEAL, ROLL_BACK), repeat=2):
                yield Schedule((both[0], both[1]), (ends[0], ends[1]), turns)


async def try_all(wanted: Iterator[Schedule], told: Callable[[int], None] = lambda _: None) -> Tried:
    """Play them, in a new house every so often; `told` hears how many there were by then."""
    tried = Tried()
    while some := list(itertools.islice(wanted, SCHEDULES_EACH_HOUSE)):
        with tempfile.TemporaryDirectory() as folder:
            house, world = await _open(Path(folder))
            stage = Stage(house, world)
            for schedule in some:
                wrong, verdicts = await stage.play(schedule)
                tried.schedules += 1
                tried.verdicts += verdicts
                tried.violations += [f"{schedule.words()}: {text}" for text in wrong]
            await close_house(house)
        told(tried.schedules)
    return tried


async def _open(folder: Path) -> tuple[House, TwoResources]:
    clock, ids, world = VirtualClock(), CountingIds(), TwoResources()
    store = MemoryStore(clock=clock, ids=ids)
    return await open_scripted(folder, world, _FILES, store=store, clock=clock, ids=ids), world


def rows_of(tried: Tried, effects: int, seconds: float) -> list[Row]:
    """As they are reported."""
    name = f"{effects} effects each"
    return [
        Row(f"schedules tried, {name}", tried.schedules),
        Row(f"violations, {name}", len(tried.violations), "", "0", not tried.violations),
        *(Row(f"effects {verdict}, {name}", count) for verdict, count in sorted(tried.verdicts.items())),
        Row(f"time, {name}", round(seconds, 1), "s"),
    ]


def main() -> None:
    """Try them all, and report; exits 1 if one went wrong."""
    most = min(int(sys.argv[1]) if len(sys.argv) > 1 else 2, EFFECTS_MAX)
    rows: list[Row] = []
    violations: list[str] = []
    for effects in range(1, most + 1):
        start = time.monotonic()
        tried = asyncio.run(try_all(schedules(effects), partial(_tell, effects)))
        rows += rows_of(tried, effects, time.monotonic() - start)
        violations += tried.violations
    write_report("interleavings", rows)
    for text in violations[:20]:
        print(text)
    sys.exit(1 if violations else 0)


def _tell(effects: int, count: int) -> None:
    print(f"{effects} effects each: {count} schedules tried", file=sys.stderr, flush=True)  # minutes go by


if __name__ == "__main__":
    main()
