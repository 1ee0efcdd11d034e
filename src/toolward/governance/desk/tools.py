"""The registry as people see it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.evidence import version_of
from toolward.governance.desk.gates.checks import gate_of
from toolward.governance.desk.versions import channel_of, runner_of
from toolward.model.event import EventKind
from toolward.model.gate import OPEN_GATE
from toolward.model.pin import Pin
from toolward.model.principal import Principal
from toolward.model.tool import ToolVersion
from toolward.rules.undo import undo_in_words
from toolward.rules.version import drifted_aspects


async def list_tools(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every pin with its effect and where that was read. Parameters: `server`, `state`, `channel`."""
    del by
    channel = channel_of(desk, parameters)
    server, state = text(parameters, "server", ""), text(parameters, "state", "")
    rows = []
    for pin in desk.parts.registry.pins(channel):
        if (server and pin.server != server) or (state and pin.state.value != state):
            continue
        rows.append(_row(pin, desk.parts.registry.version(pin.digest)))
    return rows


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One tool: the pinned definition and its manifest, the candidate if there is one."""
    del by
    pinned, candidate = desk.parts.registry.diff(text(parameters, "tool"))
    pin = desk.parts.registry.pin(pinned.key)
    return {
        **_row(pin, pinned),  # type: ignore[arg-type]  # diff raised if there is no pin
        "definition": orjson.loads(pinned.definition),
        "binding": pinned.binding,
        "manifest": pinned.manifest.as_json(),
        "undo": undo_in_words(pinned.manifest),
        "metadata": _metadata(desk, pinned.key),
        "proved": _last_proof(desk, pinned),
        "candidate_definition": orjson.loads(candidate.definition) if candidate else None,
    }


async def diff(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """What changed between the pinned version and the candidate, line by line."""
    del by
    key = text(parameters, "tool")
    pinned, candidate = desk.parts.registry.diff(key)
    if candidate is None:
        return {"tool": key, "aspects": [], "lines": []}
    aspects = drifted_aspects(orjson.loads(pinned.definition), orjson.loads(candidate.definition))
    if pinned.binding != candidate.binding:
        aspects = (*aspects, "binding")
    if pinned.manifest != candidate.manifest:
        aspects = (*aspects, "manifest")
    lines = difflib.unified_diff(_readable(pinned), _readable(candidate), "pinned", "now", lineterm="", n=2)
    return {
        "tool": key,
        "pinned": pinned.digest,
        "candidate": candidate.digest,
        "aspects": list(aspects),
        "lines": list(lines),
    }


async def approve(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Approve versions. Parameters: `tools`, a list of {tool, digest}: the digest that was looked at."""
    wanted = parameters.get("tools")
    if not isinstance(wanted, list) or not wanted:
        raise Rejected("name the tools to approve", remedy="toolward tools approve SERVER/TOOL")
    if gate_of(desk, desk.revision().channel) != OPEN_GATE:
        raise Denied(
            f"the channel {desk.revision().channel} has a gate, so versions are promoted into it",
            code=ReasonCode.GATE_NOT_MET,
            remedy=f"toolward tools promote TOOL --to {desk.revision().channel}",
        )
    approved = []
    for each in wanted:
        key, note = text(each, "tool"), text(parameters, "note", "")
        pinned = desk.parts.registry.known(key)
        digest = text(each, "digest", "") or pinned.candidate or pinned.digest
        if digest != pinned.digest:  # policies have to fit it too, before it is served
            _ = desk.trial(desk.parts.registry.usable(key, digest))
        pin = await desk.parts.registry.approve(key, digest=digest, by=by, source=note)
        approved.append(_row(pin, desk.parts.registry.version(pin.digest)))
        # what was looked at may be older than what the server lists by now: the next call compares first
        desk.parts.drift.announce(runner_of(desk, pin.digest) or pin.server)
    await desk.repin(by)
    return approved


async def revoke(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Stop serving a tool. Parameters: `tool`, `why`, `channel`."""
    key, why = text(parameters, "tool"), text(parameters, "why", "")
    pin = await desk.parts.registry.revoke(key, by=by, why=why, channel=channel_of(desk, parameters))
    await desk.repin(by)
    return _row(pin, desk.parts.registry.version(pin.digest))


async def proved(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Write down how `toolward tools prove` came out: `tool`, `digest`, and `checks` (what, holds, text)."""
    key, checks = text(parameters, "tool"), parameters.get("checks")
    pinned = version_of(desk, parameters)
    if not isinstance(checks, list) or not all(isinstance(each, dict) for each in checks):
        raise Rejected("`checks` is no list of objects")
    findings = [f"{each.get('what')}: {each.get('text')}" for each in checks if not each.get("holds")]
    body = {
        "version": pinned.digest,
        "holds": not findings,
        "checks": len(checks),
        "findings": [finding[:500] for finding in findings],
        "by": by.as_json(),
    }
    event = desk.parts.auditor.event(EventKind.TOOL_PROVED, tool=key, body=body)
    await desk.parts.store.commit([event])
    return {"tool": key, **body}


def _metadata(desk: Desk, key: str) -> dict[str, Any]:
    """What the ward says of it outside the version's digest; {} for a tool without an entry."""
    said = desk.ward().manifests.get(key)
    return {**asdict(said[1]), "data_classes": list(said[1].data_classes)} if said is not None else {}


def _last_proof(desk: Desk, pinned: ToolVersion) -> dict[str, Any] | None:
    """The newest proof of this very version."""
    for record in desk.parts.store.find(kind=EventKind.TOOL_PROVED.value, tool=pinned.key):
        body = orjson.loads(record.body)
        if body["version"] == pinned.digest:
            return {"holds": body["holds"], "findings": body["findings"], "time": body["time"]}
    return None


def _row(pin: Pin, version: ToolVersion | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "tool": pin.key,
        "server": pin.server,
        "name": pin.name,
        "state": pin.state.value,
        "digest": pin.digest,
        "candidate": pin.candidate,
        "offers": list(pin.offers),
        "successor": pin.successor,
        "formerly": pin.formerly,
        "approved_by": pin.approved_by,
    }
    if version is not None:
        row["effect"] = version.manifest.effect.value
        row["effect_source"] = version.manifest.effect_source
        row["egress"] = version.manifest.egress
    return row


def _readable(version: ToolVersion) -> list[str]:
    content = {
        "definition": orjson.loads(version.definition),
        "binding": version.binding,
        "manifest": version.manifest.as_json(),
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().splitlines()


VERBS = {
    "tools.list": Verb(list_tools, needs_person=False),
    "tools.show": Verb(show, needs_person=False),
    "tools.diff": Verb(diff, needs_person=False),
    "tools.approve": Verb(approve),
    "tools.revoke": Verb(revoke),
    "tools.proved": Verb(proved),
}
