"""How the ward is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from toolward.errors import ToolwardError
from toolward.governance.desk.context import Desk, Verb
from toolward.model.principal import Principal
from toolward.model.tool import ToolState


async def status(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Health, revision, servers, sizes, open incidents."""
    del parameters, by
    revision = desk.revision()
    health = desk.gateway.health()
    states: dict[str, int] = {}
    for pin in desk.parts.registry.pins():
        states[pin.state.value] = states.get(pin.state.value, 0) + 1
    return {
        "ward": desk.name,
        "healthy": health is None,
        "health": health.as_json() if health else {},
        "revision": revision.digest,
        "profile": revision.profile,
        "channel": revision.channel.value,
        "unsafe": list(revision.marks),
        "servers": sorted(revision.bindings),
        "tools": states,
        "records": desk.parts.store.size(),
        "open_approvals": desk.parts.approvals.watch.count(),
        "open_circuits": desk.parts.resilience.open_circuits(),
        "honeytokens_seen": desk.parts.honeytokens.seen,
        "open_incidents": sum(not incident.restored_ns for incident in desk.parts.incidents.all()),
    }


async def incidents(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """All incidents with their four times (UTC nanoseconds, 0 for not yet)."""
    del parameters, by
    return [
        {
            "incident_id": each.incident_id,
            "kind": each.kind.value,
            "subject": each.subject,
            "text": each.text,
            "onset_ns": each.onset_ns,
            "detected_ns": each.detected_ns,
            "contained_ns": each.contained_ns,
            "restored_ns": each.restored_ns,
        }
        for each in desk.parts.incidents.all()
    ]


async def refresh(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Connect to every server and variant now and compare its definitions with the pins."""
    del by
    wanted = parameters.get("servers") or sorted(
        one.server for each in desk.revision().bindings.values() for one in each.all()
    )
    return list(await asyncio.gather(*(_refreshed(desk, server) for server in wanted)))


async def _refreshed(desk: Desk, server: str) -> dict[str, Any]:
    row: dict[str, Any] = {"server": server, "error": "", "tools": 0, "findings": []}
    try:
        findings = await desk.parts.drift.refresh(server)
    except ToolwardError as error:
        row["error"] = error.diagnostics()
    else:
        row["tools"] = len(findings)
        row["findings"] = [
            {"tool": f.tool, "change": f.change.value, "state": f.state.value, "aspects": list(f.aspects)}
            for f in findings
            if f.change.value != "same"
        ]
    return row


async def reload(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Read the ward's files again and put them in force, whole or not at all.

    `quarantined` names the tools whose server, source or command is another one now, until a person has
    approved them, `proposed` those that are new. `unreachable` says of new and changed servers why they
    could not be looked at; their tools wait for the next comparison.
    """
    del parameters
    before = desk.revision().digest
    held, waiting = (_in_state(desk, state) for state in (ToolState.QUARANTINED, ToolState.PROPOSED))
    unreachable = await desk.reload(by)
    return {
        "before": before,
        "revision": desk.revision().digest,
        "quarantined": sorted(_in_state(desk, ToolState.QUARANTINED) - held),
        "proposed": sorted(_in_state(desk, ToolState.PROPOSED) - waiting),
        "unreachable": {server: error.diagnostics() for server, error in unreachable.items()},
    }


def _in_state(desk: Desk, state: ToolState) -> set[str]:
    return {pin.key for pin in desk.parts.registry.pins() if pin.state is state}


VERBS = {
    "status": Verb(status, needs_person=False),
    "incidents": Verb(incidents),
    "refresh": Verb(refresh),
    "reload": Verb(reload),
}
