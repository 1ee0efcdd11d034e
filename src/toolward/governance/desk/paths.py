"""The same work down both paths, on the ward itself: what stands in its way, what is written, what it costs.

The workload is one approved tool that only reads, so that it can be called again and again. Down the secure
path it goes because its host asks for it (`dev.toolward/path`). What other tools would meet is decided and
not run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, Final

import orjson

from toolward.errors import Rejected, ToolwardError
from toolward.governance.desk.calls import explain
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.gates.compatible import recorded_calls
from toolward.kernel.attempt import PATH_META, Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.model.call import Action
from toolward.model.principal import Principal
from toolward.model.session import SessionOrigin
from toolward.model.tool import Effect, Path, ToolState, ToolVersion
from toolward.rules.scratch import sample_arguments

CALLS: Final = 50
"""Down each path, where nobody says how many."""
CALLS_MAX: Final = 5_000
TOOLS_MAX: Final = 200
"""Tools whose decisions are looked at; more would say the same."""
_SIDES: Final = (Path.OPEN, Path.SECURE)


@dataclass(slots=True)
class _Side:
    """What calls down one path took."""

    latency_ms: list[float] = field(default_factory=list)
    cpu_ns: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    last: str = ""  # the newest call that went through


async def compare(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Both paths side by side. Parameters: `tool` and `arguments`, else the newest recorded read; `calls`.

    Each row has `aspect`, `what`, and what it is on the `open` and on the `secure` path. Raises `Rejected`
    for a tool that does more than read, and where no read is on record.
    """
    version, arguments = _workload(desk, parameters)
    calls = parameters.get("calls", CALLS)
    if type(calls) is not int or not 0 < calls <= CALLS_MAX:
        raise Rejected(f"`calls` is a number from 1 to {CALLS_MAX}")
    sides = {path: _Side() for path in _SIDES}
    first = {path: _Side() for path in _SIDES}  # starts what has to be started, and is not measured
    session = (await desk.gateway.open_session(by, SessionOrigin.HANDLE)).session_id
    for path in _SIDES:
        await _once(desk, _attempt(version, arguments, session, path, by), first[path])
    for turn in range(calls):  # in turns, so that what slows the machine slows both
        for path in _SIDES if turn % 2 else reversed(_SIDES):
            await _once(desk, _attempt(version, arguments, session, path, by), sides[path])
    rows = [
        *await _surface(desk, version, arguments, by),
        *await _enforcement(desk, by),
        *_observed(desk, sides),
        *_faults(desk, version),
        *_measured(sides, calls),
    ]
    return {"tool": version.key, "arguments": arguments, "calls": calls, "rows": rows}


def _row(aspect: str, what: str, on_open: object, on_secure: object) -> dict[str, str]:
    return {"aspect": aspect, "what": what, "open": str(on_open), "secure": str(on_secure)}


def _workload(desk: Desk, parameters: Mapping[str, Any]) -> tuple[ToolVersion, dict[str, Any]]:
    key, arguments = text(parameters, "tool", ""), parameters.get("arguments")
    reads = [each for each in _approved(desk) if each.manifest.effect is Effect.READ_ONLY]
    chosen = [each for each in reads if not key or each.key == key]
    if key and not chosen:
        raise Rejected(f"{key} is no approved tool that only reads", remedy="name one that does")
    if isinstance(arguments, dict) and key:
        return chosen[0], arguments
    for version in chosen:
        for record in recorded_calls(desk, version.key, 1):
            body = desk.parts.store.payload(record.index, "arguments")
            if body is not None:
                return version, orjson.loads(body)
    raise Rejected(
        "no call of an approved tool that only reads is on record, so there is no work to compare",
        remedy="make one, or name it: --tool SERVER/TOOL --json-args '{…}'",
    )


def _approved(desk: Desk) -> list[ToolVersion]:
    registry = desk.parts.registry
    return [registry.of(pin) for pin in registry.pins() if pin.state.stands][:TOOLS_MAX]


def _attempt(
    version: ToolVersion, arguments: Mapping[str, Any], session: str, path: Path, by: Principal
) -> Attempt:
    meta = {PATH_META: "secure"} if path is Path.SECURE else {}
    return Attempt(
        principal=by,
        session_id=session,
        action=Action.CALL_TOOL,
        params={"name": version.name, "arguments": dict(arguments), "_meta": meta},
        server=version.server,
        door="compare",
    )


async def _once(desk: Desk, attempt: Attempt, side: _Side) -> None:
    began, cpu = time.perf_counter_ns(), time.process_time_ns()
    reply = await desk.gateway.perform(attempt, QuietExchange())
    side.cpu_ns += time.process_time_ns() - cpu
    side.latency_ms.append((time.perf_counter_ns() - began) / 1e6)
    if reply.error is None:
        side.last = reply.call_id
        return
    code = str((reply.error.data or {}).get("code", reply.error.code))
    side.refused[code] = side.refused.get(code, 0) + 1


async def _surface(
    desk: Desk, version: ToolVersion, arguments: Mapping[str, Any], by: Principal
) -> list[dict[str, str]]:
    """What may be called at all, and what looks at a call."""
    registry = desk.parts.registry
    found = sum(pin.state is ToolState.DISCOVERED for pin in registry.pins())
    approved = sum(pin.state.stands for pin in registry.pins())
    asked = {"tool": version.key, "arguments": dict(arguments)}
    both = [await explain(desk, {**asked, **wish}, by) for wish in ({}, {"path": "secure"})]
    return [
        _row("control surface", "tools that can be called", approved + found, approved),
        _row("control surface", "of them found, approved by nobody", found, 0),
        _row("control surface", "why the work goes this way", both[0]["path_why"], both[1]["path_why"]),
        _row("control surface", "policies that look at it", *(each.get("considered", 0) for each in both)),
        _row("control surface", "it would be", both[0]["decision"], both[1]["decision"]),
    ]


async def _enforcement(desk: Desk, by: Principal) -> list[dict[str, str]]:
    """What is decided of a made-up call of every tool, in a clean session and after untrusted words."""
    rows = []
    for tainted in (False, True):
        counted: list[dict[str, int]] = []
        for path in _SIDES:
            counts = {"allow": 0, "ask": 0, "deny": 0}
            for pin in list(desk.parts.registry.pins())[:TOOLS_MAX]:
                if pin.state.stands or pin.state is ToolState.DISCOVERED:
                    counts[await _decided(desk, desk.parts.registry.of(pin), path, by, tainted)] += 1
            counted.append(counts)
        what = "every tool, after an untrusted result" if tainted else "every tool, in a clean session"
        texts = [", ".join(f"{name} {count}" for name, count in each.items()) for each in counted]
        rows.append(_row("enforcement", what, *texts))
    return rows


async def _decided(desk: Desk, version: ToolVersion, path: Path, by: Principal, tainted: bool) -> str:  # noqa: FBT001 -- private
    arguments = sample_arguments(orjson.loads(version.definition), version.manifest, "/")
    wish = {"path": "secure"} if path is Path.SECURE else {}
    try:
        said = await explain(
            desk, {"tool": version.key, "arguments": arguments, "tainted": tainted, **wish}, by
        )
    except ToolwardError:
        return "deny"  # its server is away: no call gets through either
    return str(said["decision"])


def _observed(desk: Desk, sides: Mapping[Path, _Side]) -> list[dict[str, str]]:
    """What is on record of one call."""
    found = [
        [orjson.loads(each.body) for each in desk.parts.store.find(call_id=side.last)] if side.last else []
        for side in (sides[path] for path in _SIDES)
    ]
    named = [{key for record in records for key in record} for records in found]
    kinds = [", ".join(sorted({record["kind"] for record in records})) or "none" for records in found]
    return [
        _row("observability", "records of one call", *kinds),
        _row("observability", "fields in them", *(len(each) for each in named)),
        _row(
            "observability",
            "the path and its reason",
            *("yes" if "path_why" in each else "no" for each in named),
        ),
    ]


def _faults(desk: Desk, version: ToolVersion) -> list[dict[str, str]]:
    """What happens when its server fails. A path changes nothing of that; being found does."""
    limits = desk.ward().resilience.of(version.key)
    same = f"{limits.failures} failures in a row open its circuit, {limits.retries} retries of a read"
    found = "a process for each session, budgets for each session and day"
    return [
        _row("fault handling", "an approved tool", same, same),
        _row("fault handling", "a found tool", f"{same}; {found}", "not called"),
    ]


def _measured(sides: Mapping[Path, _Side], calls: int) -> list[dict[str, str]]:
    cuts = [_cuts(sides[path].latency_ms) for path in _SIDES]
    refused = [
        ", ".join(f"{count} {code}" for code, count in side.refused.items()) or "none"
        for side in (sides[path] for path in _SIDES)
    ]
    return [
        _row("latency", "p50, ms", *(f"{each[0]:.2f}" for each in cuts)),
        _row("latency", "p99, ms", *(f"{each[1]:.2f}" for each in cuts)),
        _row("CPU", "of the gateway, ms a call", *(f"{sides[p].cpu_ns / calls / 1e6:.3f}" for p in _SIDES)),
        _row("refused", f"of {calls} calls", *refused),
    ]


def _cuts(values: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    if len(values) == 1:
        return values[0], values[0]
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[98]


VERBS = {"paths.compare": Verb(compare)}
