"""What watches the tools, as people ask about it: contracts, staleness, results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import orjson

from toolward.errors import Rejected
from toolward.governance.desk.calls import call
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.moments import utc
from toolward.model.contract import CONTRACT_DOOR, Contract
from toolward.model.event import EventKind
from toolward.model.pin import Pin
from toolward.model.principal import Principal
from toolward.model.tool import Effect, Metadata, ToolState
from toolward.rules.contracts import expectations_of
from toolward.rules.staleness import Bounds, Traces, stale

RECORDED_CALLS = 2
"""A call is made twice, so that what differs from one answer to the next is not taken for a promise."""
_USES = (EventKind.CALL_MERGED, EventKind.CALL_INTENT)
_LOOKED_AT = (50, 10_000)
"""Records of a tool, newest first: more only where the first were all the gateway's own."""


async def probe(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Try the contracts of `tool`, or all; what changed is quarantined."""
    del by
    tool = text(parameters, "tool", "")
    if tool and desk.parts.registry.pin(tool) is None:
        raise Rejected(f"no tool `{tool}`", remedy="see `toolward tools list`")
    return [each.as_json() for each in await desk.parts.watching.behaviour.probe(tool, asked=True)]


async def record(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Make a call twice and return the contract that its answers are.

    Parameters: `tool`, `name`, `arguments`. Nothing is written to the ward's files. Raises `Rejected` for a
    tool that does not only read, and for an answer that is an error.
    """
    tool, name = text(parameters, "tool"), text(parameters, "name", "recorded")
    pinned, _ = desk.parts.registry.diff(tool)
    if pinned.manifest.effect is not Effect.READ_ONLY:
        raise Rejected(f"{tool} does not only read, so it is not called again and again")
    arguments = parameters.get("arguments") or {}
    results = []
    for _ in range(RECORDED_CALLS):
        answer = await call(desk, {"tool": tool, "arguments": arguments}, by)
        if "result" not in answer or answer["result"].get("isError") is True:
            why = answer["error"]["message"] if "error" in answer else "the tool answered with an error"
            raise Rejected(f"nothing was recorded: {why}", remedy="make a call that is answered")
        results.append({key: value for key, value in answer["result"].items() if key != "_meta"})
    contract = Contract(tool=tool, name=name, arguments=arguments, expect=expectations_of(results))
    return contract.as_json()


async def list_stale(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Served tools that nobody can reach, uses, or has looked at in time."""
    del parameters, by
    now, said = desk.clock.now_ns(), desk.ward().config.watch
    bounds = Bounds(unreachable_h=said.stale_unreachable_h, unused_days=said.stale_unused_days)
    out = []
    for pin in desk.parts.registry.pins():
        if pin.state is not ToolState.APPROVED:
            continue
        metadata = metadata_of(desk, pin.key)
        sighting = desk.parts.watching.sightings.of(pin.server)
        traces = Traces(
            served_ns=pin.since_ns,
            used_ns=_used_ns(desk, pin),
            away_ns=sighting.away_ns,
            gone_ns=sighting.gone.get(pin.name, 0),
            overdue_days=overdue_days(metadata, now),
        )
        reasons = list(stale(traces, bounds, now))
        if reasons:
            out.append(
                {
                    "tool": pin.key,
                    "reasons": [{"reason": kind.value, "text": words} for kind, words in reasons],
                    "last_seen": utc(sighting.seen_ns) if sighting.seen_ns else "",
                    "last_used": utc(traces.used_ns) if traces.used_ns else "",
                    "owner": metadata.owner,
                    "review_by": metadata.review_by,
                }
            )
    return out


def metadata_of(desk: Desk, key: str) -> Metadata:
    """Who answers for a tool, as the ward's files say."""
    found = desk.ward().manifests.get(key)
    return found[1] if found is not None else Metadata()


def overdue_days(metadata: Metadata, now_ns: int) -> int:
    """Days since the review date; 0 or less when it is yet to come, or none is set."""
    try:
        due = date.fromisoformat(metadata.review_by)
    except ValueError:  # none, or a day that no calendar has
        return 0
    return (datetime.fromtimestamp(now_ns / 1_000_000_000, UTC).date() - due).days


def _used_ns(desk: Desk, pin: Pin) -> int:
    """When the tool was last called by somebody, as the log has it; trying contracts is no use."""
    newest = 0
    for kind in _USES:
        for limit in _LOOKED_AT:
            found = desk.parts.store.find(kind=kind.value, tool=pin.key, limit=limit)
            bodies = (orjson.loads(each.body) for each in found)
            time = next((each["time"] for each in bodies if each["door"] != CONTRACT_DOOR), "")
            if time:
                newest = max(newest, _ns_of(time))
            if time or len(found) < limit:
                break
    return newest


def _ns_of(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1_000_000_000)


VERBS = {
    "tools.probe": Verb(probe),
    "tools.record": Verb(record),
    "tools.stale": Verb(list_stale, needs_person=False),
}
