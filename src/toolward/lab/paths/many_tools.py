"""Ten thousand tools beside ten: what it costs to start, list, search, describe and call, and in memory.

    python -m toolward.lab.paths.many_tools

Each size has a process of its own, a real store on disk and the whole corridor; only the servers are
scripted. Times are CPU milliseconds of that process, the median of several runs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.bootstrap.assembly import Builder, House, close_house
from toolward.bootstrap.machine import Machine
from toolward.config.ward import load_ward
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.lab.report import Row, write_report
from toolward.lab.scripted import PERSON, NoSecrets, ScriptedServer
from toolward.model.call import Action, Era
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.ports.upstream import ServerDescription

FEW: Final = 10
MANY: Final = 10_000
OF_ONE_SERVER: Final = 100
RUNS: Final = 20
AGENT: Final = Principal(user="ana", agent="lab", credential="key", kind=CredentialKind.API_KEY)
VERBS: Final = ("read", "write", "list", "search", "delete", "send", "convert", "compare", "plan", "watch")
THINGS: Final = ("file", "mail", "invoice", "ticket", "image", "table", "route", "forecast", "branch", "page")


class ManyServers(ScriptedServer):
    """Servers with a hundred different tools each."""

    def __init__(self, count: int) -> None:
        super().__init__((), ())
        each = min(count, OF_ONE_SERVER)
        self._lists = {f"s{i}": _definitions(i, each) for i in range(count // each)}

    @override
    def names(self) -> tuple[str, ...]:
        return tuple(self._lists)

    @override
    async def describe(self, server: str) -> ServerDescription:
        return ServerDescription(
            server=server,
            eras=(Era.HANDSHAKE, Era.STATELESS),
            info={"name": server},
            capabilities={"tools": {}},
            tools=self._lists[server],
        )


def _definitions(server: int, count: int) -> list[dict[str, Any]]:
    pairs = itertools.islice(itertools.product(VERBS, THINGS), count)
    return [
        {
            "name": f"{verb}_{thing}",
            "description": f"{verb.title()} a {thing} of the system {server}, and tell what came of it.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    f"{thing}_id": {"type": "string", "description": f"Which {thing}."},
                    "options": {"type": "object", "properties": {"dry_run": {"type": "boolean"}}},
                    "limit": {"type": "integer", "minimum": 1},
                },
                "required": [f"{thing}_id"],
            },
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }
        for verb, thing in pairs
    ]


async def _open(folder: Path, count: int) -> tuple[House, SqliteStore]:
    servers = ManyServers(count)
    declared = "".join(f"  {name}: {{command: never-started}}\n" for name in servers.names())
    text = f"version: 1\nname: many\nprofile: guarded\nservers:\n{declared}discovery: {{face: both}}\n"
    (folder / "toolward.yaml").write_text(text, encoding="utf-8")
    clock, ids = SystemClock(), SystemIds()
    store = SqliteStore.open(folder / ".toolward", origin="toolward/many", clock=clock, ids=ids)
    machine = Machine(store=store, upstreams=lambda _: servers, secrets=NoSecrets(), clock=clock, ids=ids)
    return await Builder(load_ward(folder), machine).build(), store


async def _timed(work: Callable[[], Awaitable[object]], runs: int = RUNS) -> tuple[float, float]:
    """CPU milliseconds of the first run and of the median of the others."""
    took: list[float] = []
    for _ in range(runs + 1):
        began = time.process_time_ns()
        await work()
        took.append((time.process_time_ns() - began) / 1_000_000)
    return took[0], statistics.median(took[1:] or took)


async def measure(folder: Path, count: int) -> dict[str, float]:
    """What a new ward in `folder` costs with that many tools, and what is asked of it."""
    figures: dict[str, float] = {}
    house, store = await _open(folder, count)
    figures["see and pin them the first time"], _ = await _timed(
        lambda: house.parts.drift.compare(house.parts.upstreams.names()), 0
    )
    tools = [{"tool": pin.key, "digest": pin.digest} for pin in house.parts.registry.pins()]
    figures["approve them all"], _ = await _timed(
        lambda: invoke(house.desk, "tools.approve", {"tools": tools}, PERSON), 0
    )
    figures["put a change in force"], _ = await _timed(lambda: house.desk.repin(PERSON), 0)
    figures |= await _asked(house, str(tools[-1]["tool"]))
    await close_house(house)
    await store.close()
    return figures


async def measure_again(folder: Path, count: int) -> dict[str, float]:
    """What a later start costs, in a process that has seen none of it."""
    began = time.process_time_ns()
    house, store = await _open(folder, count)
    figures = {"start again": (time.process_time_ns() - began) / 1_000_000}
    figures |= {f"{what}, started again": took for what, took in (await _asked(house, _last(house))).items()}
    figures["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await close_house(house)
    await store.close()
    return {what: took for what, took in figures.items() if what in _OF_A_START}


_OF_A_START: Final = ("start again", "list, first, started again", "memory")


def _last(house: House) -> str:
    *_, pin = house.parts.registry.pins()
    return pin.key


async def _asked(house: House, last: str) -> dict[str, float]:
    opened = await house.gateway.open_session(AGENT, SessionOrigin.HANDLE)
    server, _, name = last.partition("/")

    async def perform(action: Action, params: dict[str, Any]) -> None:
        attempt = Attempt(principal=AGENT, session_id=opened.session_id, action=action, params=params)
        reply = await house.gateway.perform(attempt, QuietExchange())
        if reply.error is not None:
            raise RuntimeError(reply.error.message)

    async def meta(which: str, arguments: dict[str, Any]) -> None:
        await perform(Action.CALL_TOOL, {"name": f"toolward__{which}", "arguments": arguments})

    thing = name.partition("_")[2]
    arguments = {f"{thing}_id": "a", "limit": 3}
    whole = f"{server}__{name}"
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "list": lambda: perform(Action.LIST_TOOLS, {}),
        "search": lambda: meta("search_tools", {"query": "delete an invoice of a system"}),
        "describe": lambda: meta("describe_tool", {"tool": whole}),
        "call by name": lambda: perform(Action.CALL_TOOL, {"name": whole, "arguments": arguments}),
        "call by meta-tool": lambda: meta("call_tool", {"tool": whole, "arguments": arguments}),
    }
    figures: dict[str, float] = {}
    for what, one in work.items():
        first, again = await _timed(one)
        figures[f"{what}, first"], figures[what] = first, again
    return figures


GOALS: Final = {
    "search": "<= 50",
    "describe": "<= 2 x that of ten",
    "call by name": "<= 1.3 x that of ten",
    "call by meta-tool": "<= 1.3 x that of ten",
    "memory": "<= 1024",
}
"""What must not grow with the number of tools, and what may only so far."""
_RATIO: Final = {"describe": 2.0, "call by name": 1.3, "call by meta-tool": 1.3}
_BOUND: Final = {"search": 50.0, "memory": 1024.0}


def rows(few: dict[str, float], many: dict[str, float]) -> list[Row]:
    """Each figure with many tools, beside that with ten."""
    found = []
    for what, figure in many.items():
        unit = "MiB" if what == "memory" else "ms"
        limit = _BOUND.get(what, few[what] * _RATIO[what] if what in _RATIO else float("inf"))
        found.append(
            Row(
                what=f"{what}, {MANY} tools ({FEW}: {few[what]:.2f})",
                figure=round(figure, 2),
                unit=unit,
                goal=GOALS.get(what, ""),
                holds=figure <= limit,
            )
        )
    return found


def _in_processes(count: int) -> dict[str, float]:
    """A new ward in one process, the same ward in the next."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for which in ("new", "again"):
            command = [sys.executable, "-m", __spec__.name, "--ward", folder, "--count", str(count), which]
            found |= json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def main() -> None:
    """Measure both sizes, print, write `build/reports/bench_tools.json`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("which", nargs="?", choices=("new", "again"), help="in this process, as JSON")
    parser.add_argument("--ward", type=Path)
    parser.add_argument("--count", type=int, default=FEW)
    chosen = parser.parse_args()
    if chosen.which is None:
        write_report("bench_tools", rows(_in_processes(FEW), _in_processes(MANY)))
        return
    one = measure if chosen.which == "new" else measure_again
    sys.stdout.write(json.dumps(asyncio.run(one(chosen.ward, chosen.count))))


if __name__ == "__main__":
    main()
