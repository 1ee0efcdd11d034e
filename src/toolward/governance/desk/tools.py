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
from toolward.governance.desk.watching import metadata_of
from toolward.kernel.rollback.proofs import last_proof
from toolward.model.event import EventKind
from toolward.model.finding import Severity
from toolward.model.gate import OPEN_GATE
from toolward.model.pin import Pin
from toolward.model.principal import Principal
from toolward.model.tool import ToolState, ToolVersion
from toolward.rules.found.worth import is_worth_a_look
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
        row = _row(desk, pin)
        if pin.state is ToolState.DISCOVERED:
            record = desk.parts.discovery.use.of(pin.key, pin.digest)
            row["used"], row["worth_promoting"] = record.evidence(), is_worth_a_look(record)
        rows.append(row)
    return rows


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One tool: the pinned definition and its manifest, the candidate if there is one."""
    del by
    pinned, candidate = desk.parts.registry.diff(text(parameters, "tool"))
    pin = desk.parts.registry.pin(pinned.key)
    return {
        **_row(desk, pin, notes=True),  # type: ignore[arg-type]  # diff raised if there is no pin
        "definition": orjson.loads(pinned.definition),
        "binding": pinned.binding,
        "manifest": pinned.manifest.as_json(),
        "undo": undo_in_words(pinned.manifest),
        "proved": last_proof(desk.parts.store, pinned),
        "candidate_definition": orjson.loads(candidate.definition) if candidate else None,
        "metadata": asdict(metadata_of(desk, pinned.key)),
        "results": desk.parts.watching.results.state(pinned),
        "behaviour": desk.parts.watching.behaviour.last(pinned.key),
    }


async def diff(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """What changed between the pinned version and the candidate, line by line, and the candidate's findings.

    A new tool that another one became is compared with that one: `renamed_from`.
    """
    del by
    key, registry = text(parameters, "tool"), desk.parts.registry
    pinned, candidate = registry.diff(key)
    before = registry.findings.previous_name(pinned)
    if candidate is None and before:
        candidate, pinned = pinned, registry.diff(before)[0]
    behaviour = desk.parts.watching.behaviour.last(key)
    if candidate is None:
        return {
            "tool": key,
            "aspects": ["behaviour"] if behaviour else [],
            "lines": [],
            "renamed_from": "",
            "findings": [],
            "behaviour": behaviour,
        }
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
        "renamed_from": before,
        "findings": [each.as_json() for each in registry.findings.of(candidate)],
        "behaviour": behaviour,
    }


async def approve(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Approve versions. Parameters: `tools`, a list of {tool, digest}: the digest that was looked at.

    `accept_findings`: whoever approves has seen the findings that block. One that was not accepted stops all.
    """
    wanted, registry = parameters.get("tools"), desk.parts.registry
    if not isinstance(wanted, list) or not wanted:
        raise Rejected("name the tools to approve", remedy="toolward tools approve SERVER/TOOL")
    if gate_of(desk, desk.revision().channel) != OPEN_GATE:
        raise Denied(
            f"the channel {desk.revision().channel} has a gate, so versions are promoted into it",
            code=ReasonCode.GATE_NOT_MET,
            remedy=f"toolward tools promote TOOL --to {desk.revision().channel}",
        )
    accepted = parameters.get("accept_findings") is True
    for each in wanted:
        pinned, candidate = registry.diff(text(each, "tool"))
        version = registry.version(text(each, "digest", "")) or candidate or pinned
        registry.findings.require_accepted(version, accepted=accepted)
    approved = []
    try:
        for each in wanted:
            key, note = text(each, "tool"), text(parameters, "note", "")
            known = registry.known(key)
            digest = text(each, "digest", "") or known.candidate or known.digest
            if digest != known.digest:  # policies have to fit it too, before it is served
                _ = desk.trial(registry.usable(key, digest))
            pin = await registry.approve(key, digest=digest, by=by, source=note, accept_findings=accepted)
            if (served := registry.version(pin.digest)) is not None:
                await desk.parts.watching.results.begin_again(served)
            approved.append(_row(desk, pin))
            # what was looked at may be older than what the server lists by now: the next call compares first
            desk.parts.drift.announce(runner_of(desk, pin.digest) or pin.server)
    finally:
        await desk.repin(by)  # what was approved before one that is refused is in force all the same
    return approved


async def revoke(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Stop serving a tool. Parameters: `tool`, `why`, `channel`."""
    key, why = text(parameters, "tool"), text(parameters, "why", "")
    pin = await desk.parts.registry.revoke(key, by=by, why=why, channel=channel_of(desk, parameters))
    await desk.repin(by)
    return _row(desk, pin)


async def proved(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Write down how `toolward tools prove` came out: `tool`, `digest`, and `checks` (what, holds, text)."""
    key, checks = text(parameters, "tool"), parameters.get("checks")
    if parameters.get("digest"):
        tried = version_of(desk, parameters)
    else:  # what is listed, as the ward's files describe it now
        pinned, candidate = desk.parts.registry.diff(key)
        tried = candidate or pinned
    if not isinstance(checks, list) or not checks or not all(isinstance(each, dict) for each in checks):
        raise Rejected("`checks` is no list of objects, or an empty one, which proves nothing")
    findings = [f"{each.get('what')}: {each.get('text')}" for each in checks if each.get("holds") is not True]
    body = {
        "version": tried.digest,
        "holds": not findings,
        "checks": len(checks),
        "findings": [finding[:500] for finding in findings],
        "by": by.as_json(),
    }
    event = desk.parts.auditor.event(EventKind.TOOL_PROVED, tool=key, body=body)
    await desk.parts.store.commit([event])
    return {"tool": key, **body}


def _row(desk: Desk, pin: Pin, *, notes: bool = False) -> dict[str, Any]:
    """A pin with what its manifest says, and the findings of the version that a person would look at."""
    registry = desk.parts.registry
    version = registry.version(pin.digest)
    looked_at = registry.version(pin.candidate) or version
    found = registry.findings.of(looked_at) if looked_at is not None else ()
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
        "findings": [each.as_json() for each in found if notes or each.severity is not Severity.NOTE],
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
