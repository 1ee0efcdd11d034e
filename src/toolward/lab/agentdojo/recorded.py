"""Runs that AgentDojo recorded, executed again in the suite's environment: ungated first, then gated.

A record is one JSON file with the messages of one case. The ungated replay shows whether the environment
still gives the verdicts that were recorded; only then do the gated ones mean anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from toolward.lab.agentdojo.corridor import open_corridor
from toolward.lab.agentdojo.gates import BASELINES, AllowAll, Gate, Toolward
from toolward.lab.agentdojo.playing import Played, Player, Scoring
from toolward.lab.agentdojo.suite import Suite, SuiteCall, SuiteFailed, Where, open_suite
from toolward.lab.agentdojo.table import Run, tell, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded case."""

    suite: str
    user: str
    injection: str
    planted: Mapping[str, str]
    calls: tuple[SuiteCall, ...]
    said: str
    utility: bool
    security: bool


def read_runs(folder: Path) -> Iterator[Record]:
    """Every readable record below `folder`; what is none is left out."""
    for path in sorted(folder.rglob("*.json")):
        try:
            value = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError:
            continue
        if not isinstance(value, dict) or "messages" not in value or "utility" not in value:
            continue
        if not str(value.get("user_task_id", "")).startswith("user_task"):
            continue  # AgentDojo also records an injection played as a task of its own
        yield Record(
            suite=str(value["suite_name"]),
            user=str(value["user_task_id"]),
            injection=str(value.get("injection_task_id") or ""),
            planted=value.get("injections") or {},
            calls=tuple(_calls(value["messages"])),
            said=_last_words(value["messages"]),
            utility=value["utility"] is True,
            security=value.get("security") is True and bool(value.get("injection_task_id")),
        )


def _calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[SuiteCall]:
    for message in messages:
        if message.get("role") == "assistant":
            for call in message.get("tool_calls") or ():
                yield SuiteCall(tool=str(call["function"]), arguments=call.get("args") or {})


def _last_words(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message.get("role") == "assistant":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return "\n".join(str(part.get("content", "")) for part in content or () if isinstance(part, dict))
    return ""


async def play_runs(
    suites: Sequence[tuple[Where, Path]], folder: Path, *, name: str, only: str = "", verbose: bool = False
) -> bool:
    """Print agreement, then the table; whether the goals hold. Raises `SuiteFailed` without any record."""
    records = list(read_runs(folder))
    wanted = {where.suite for where, _ in suites}
    known = [each for each in records if each.suite in wanted]
    if not known:
        found = ", ".join(sorted({each.suite for each in records})) or "none"
        raise SuiteFailed(f"no record of {', '.join(sorted(wanted))} below `{folder}`; suites there: {found}")
    gates: list[tuple[Gate, Scoring]] = [(AllowAll(), Scoring.AUTO_DENY)]
    if only == "quick":
        gates.append((Toolward(), Scoring.AUTO_DENY))
    else:
        gates += [(each, scoring) for each in (*BASELINES[1:], Toolward()) for scoring in Scoring]
    runs = {(gate.name, scoring): Run(gate.name, scoring) for gate, scoring in gates}
    for where, ward in suites:
        mine = [each for each in known if each.suite == where.suite]
        with open_suite(where) as suite:
            for gate, scoring in gates:
                await _replay(suite, (gate, scoring), runs[gate.name, scoring], (where.suite, ward, mine))
    ungated = runs[AllowAll.name, Scoring.AUTO_DENY]
    for suite_name in ungated.alone:
        mine = [each for each in known if each.suite == suite_name]
        _tell_agreement(suite_name, mine, [*ungated.alone[suite_name], *ungated.pairs[suite_name]])
    if verbose:
        tell(runs[Toolward.name, Scoring.AUTO_DENY])
    return write(name, list(runs.values()))


async def _replay(
    suite: Suite, how: tuple[Gate, Scoring], run: Run, what: tuple[str, Path, Sequence[Record]]
) -> None:
    gate, scoring = how
    name, ward, records = what
    run.alone[name], run.pairs[name] = [], []
    async with open_corridor(suite, ward, profile=gate.profile) as corridor:
        player = Player(suite, corridor, gate, scoring)
        for record in records:
            case = suite.begin(record.user, record.injection, planted=record.planted)
            played = await player.replay(case, record.calls, record.said)
            (run.pairs if record.injection else run.alone)[name].append(played)
        run.decided_us[name] = corridor.decided_us


def _tell_agreement(suite: str, records: Sequence[Record], played: Sequence[Played]) -> None:
    """How often the ungated replay gives the verdicts that were recorded."""
    ordered = [*(r for r in records if not r.injection), *(r for r in records if r.injection)]
    useful = sum(record.utility == each.utility for record, each in zip(ordered, played, strict=True))
    attacked = [(r, each) for r, each in zip(ordered, played, strict=True) if r.injection]
    executed = sum(record.security == each.executed for record, each in attacked)
    Console(width=160).print(
        f"{suite}: ungated replay of {len(ordered)} records agrees on utility in {useful}/{len(ordered)}, "
        f"on the attack in {executed}/{len(attacked)}"
    )
