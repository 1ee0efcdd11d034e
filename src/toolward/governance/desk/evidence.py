"""What was shown of a version: examples that were tried, comparisons, tests of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.gates.compatible import recorded_calls
from toolward.governance.desk.gates.decisions import Decided, decided
from toolward.governance.desk.gates.evidence import newest, show, tests_digest
from toolward.governance.desk.versions import one_of, runner_of
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.model.tool import ToolVersion
from toolward.rules.record import timestamp

CALLS_MAX: Final = 1_000
"""Recorded calls that one comparison may ask for."""
_FINDINGS_MAX: Final = 20
_NAME_MAX: Final = 200
_HOUR_NS: Final = 3_600 * 1_000_000_000


def version_of(desk: Desk, parameters: Mapping[str, Any]) -> ToolVersion:
    """The version that `tool` and `digest` (a beginning; left out: what is served) name.

    Raises `Rejected`.
    """
    registry, key = desk.parts.registry, text(parameters, "tool")
    known = {digest for _, pin in registry.every_pin() if pin.key == key for digest in pin.names()}
    beginning = text(parameters, "digest", "")
    return registry.usable(
        key, one_of(tuple(sorted(known)), beginning, tool=key) if beginning else registry.known(key).digest
    )


async def version(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One version: who runs it, and its examples. Parameters: `tool`, `digest` (a beginning)."""
    del by
    found = version_of(desk, parameters)
    runner = runner_of(desk, found.digest)
    if not runner:
        raise Rejected(f"nothing that is configured runs `{found.digest[:19]}` of {found.key}")
    tests = desk.ward().tests
    return {
        "tool": found.key,
        "digest": found.digest,
        "definition_digest": found.definition_digest,
        "variant": "" if runner == found.server else runner,
        "examples": [msgspec.to_builtins(each) for _, _, each in tests.examples if each.call == found.key],
    }


async def recorded(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """The arguments of a tool's newest recorded calls, each once. Parameters: `tool`, `limit`."""
    del by
    limit = parameters.get("limit", 50)
    if type(limit) is not int or not 0 < limit <= CALLS_MAX:
        raise Rejected(f"`limit` is a number from 1 to {CALLS_MAX}")
    found: dict[bytes, dict[str, Any]] = {}
    for record in recorded_calls(desk, text(parameters, "tool"), limit):
        body = desk.parts.store.payload(record.index, "arguments")
        if body is not None:
            found.setdefault(body, orjson.loads(body))
    return list(found.values())[:limit]


async def tried(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Write down how a tool's examples came out: `tool`, `digest`, `checks` with what, holds and text."""
    found, checks = version_of(desk, parameters), parameters.get("checks")
    if not isinstance(checks, list) or not all(isinstance(each, dict) for each in checks):
        raise Rejected("`checks` is no list of objects")
    failed = [str(each.get("what"))[:_NAME_MAX] for each in checks if not each.get("holds")]
    said = {
        "what": "contract_tests",
        "holds": bool(checks) and not failed,
        "checks": len(checks),
        "failed": failed[:_FINDINGS_MAX],
        "tests": tests_digest(desk.ward(), found.key),
    }
    return await show(desk, found, said, checks[:_FINDINGS_MAX], by=by)


async def compared(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Write down a comparison: `tool`, `digest`, `beside` (those of the other), `calls`, `differences`."""
    found, beside = version_of(desk, parameters), parameters.get("beside")
    calls, differences = parameters.get("calls"), parameters.get("differences")
    if not isinstance(beside, dict) or type(calls) is not int or not isinstance(differences, list):
        raise Rejected("a comparison has `beside`, `calls` and `differences`")
    other = version_of(desk, beside)
    said = {
        "what": "compared",
        "beside": other.digest,
        "beside_tool": other.key,
        "calls": calls,
        "differences": len(differences),
        "holds": not differences,
    }
    return await show(desk, found, said, differences[:_FINDINGS_MAX], by=by)


def compared_within(desk: Desk, tool: str, fallback: str, *, hours: int) -> bool:
    """Whether what is served of the two was compared in the last `hours`, however that came out.

    Raises `Rejected` for a tool that nobody knows.
    """
    first, second = (version_of(desk, {"tool": each}) for each in (tool, fallback))
    found = newest(desk, EventKind.TOOL_EVIDENCE, second, what="compared")
    if found is None or found["beside"] != first.digest:
        return False
    since = desk.clock.now_ns() - hours * _HOUR_NS
    return str(found["time"]) > timestamp(since)


async def fallbacks(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every tool that declares what takes its place."""
    del parameters, by
    declared = desk.ward().resilience.fallbacks
    return [{"tool": tool, "fallback": fallback} for tool, fallback in sorted(declared.items())]


async def test(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every decision test against what is served. Parameter: `tool` (only this one's)."""
    del by
    wanted, revision = text(parameters, "tool", ""), desk.revision()
    rows = []
    for file, line, each in desk.ward().tests.decisions:
        if wanted and each.call != wanted:
            continue
        served = desk.parts.registry.served(each.call, revision.channel_of(each.agent))
        answer = decided(desk, revision, served[1] if served is not None else None, each)
        row = Decided(test=each, file=file, line=line, answer=answer)
        rows.append(
            {"name": each.name, "file": file, "line": line, "tool": each.call}
            | {"holds": row.holds, "decision": answer.decision, "text": row.text}
        )
    return rows


VERBS = {
    "tools.version": Verb(version, needs_person=False),
    "tools.recorded": Verb(recorded),
    "tools.fallbacks": Verb(fallbacks, needs_person=False),
    "tools.tried": Verb(tried),
    "tools.compared": Verb(compared),
    "test": Verb(test, needs_person=False),
}
