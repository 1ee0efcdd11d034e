"""Objectives as people see them: what is declared, what of it is approved where, and promoting it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from toolward.errors import ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.kernel.objectives.pins import NEXT_CHANNEL
from toolward.model.principal import Principal
from toolward.model.tool import Channel
from toolward.rules.objective import ObjectivePin
from toolward.rules.standing import Declared


async def list_objectives(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every declared objective with its standing in the ward's channel."""
    del parameters, by
    revision = desk.revision()
    return [_row(desk, revision.objectives[name]) for name in sorted(revision.objectives)]


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One `objective`: its steps, what it is composed of, what of that changed, how its sessions ended."""
    del by
    declared = _declared(desk, parameters)
    name = declared.objective.name
    ends = Counter(
        (body["channel"], body["how"])
        for body in desk.parts.objectives.ends(name, declared.composition.digest)
    )
    return {
        **_row(desk, declared),
        **declared.objective.as_json(),
        "composition": declared.composition.as_json(),
        "changed": declared.composition.changes(declared.approved) if declared.approved else [],
        "pins": {channel.value: _pin(desk.parts.objectives.pin(channel, name)) for channel in Channel},
        "ends": [{"channel": where, "how": how, "sessions": ends[where, how]} for where, how in sorted(ends)],
    }


async def approve(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Approve an `objective` for the ward's channel as it is composed now, with a `note`.

    With `digest`, only if that is what it is composed of: what was looked at.
    """
    declared, channel = _declared(desk, parameters), desk.revision().channel
    wanted, found = text(parameters, "digest", ""), declared.composition.digest
    if wanted and not found.startswith(wanted if wanted.startswith("sha256:") else f"sha256:{wanted}"):
        raise Rejected(
            f"the objective `{declared.objective.name}` is composed of something else by now: {found[:19]}",
            remedy="look at it again, and approve what you saw",
        )
    _ = await desk.parts.objectives.approve(
        declared.objective, declared.composition, channel, by=by, note=text(parameters, "note", "")
    )
    await desk.repin(by)
    return _row(desk, _declared(desk, parameters))


async def promote(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Copy the approval of an `objective` to the channel `to` (the next one), with a `note`."""
    name = text(parameters, "objective")
    after = NEXT_CHANNEL.get(desk.revision().channel, Channel.PRODUCTION)
    wanted = text(parameters, "to", after.value)
    if wanted not in Channel.__members__.values():
        raise Rejected(f"no channel `{wanted[:100]}`", remedy=f"name one of {', '.join(Channel)}")
    pin = await desk.parts.objectives.promote(name, Channel(wanted), by=by, note=text(parameters, "note", ""))
    await desk.repin(by)
    return {"objective": name, "channel": wanted, **(_pin(pin) or {})}


def _declared(desk: Desk, parameters: Mapping[str, Any]) -> Declared:
    name, objectives = text(parameters, "objective"), desk.revision().objectives
    if name not in objectives:
        raise Rejected(
            f"no objective `{name[:100]}` is declared",
            code=ReasonCode.UNKNOWN_OBJECTIVE,
            remedy=f"declared are: {', '.join(sorted(objectives)) or 'none'}",
        )
    return objectives[name]


def _row(desk: Desk, declared: Declared) -> dict[str, Any]:
    objective, channel = declared.objective, desk.revision().channel
    standing = "approved" if declared.stands else "changed" if declared.approved else "not approved"
    return {
        "objective": objective.name,
        "purpose": objective.purpose,
        "owner": objective.owner,
        "critical_steps": [step.name for step in objective.steps if step.critical],
        "channel": channel.value,
        "standing": standing,
        "digest": declared.composition.digest,
    }


def _pin(pin: ObjectivePin | None) -> dict[str, Any] | None:
    if pin is None:
        return None
    return {
        "digest": pin.composition.digest,
        "approved_by": pin.approved_by,
        "since_ns": str(pin.since_ns),
        "evidence": list(pin.evidence),
    }


VERBS = {
    "objectives.list": Verb(list_objectives, needs_person=False),
    "objectives.show": Verb(show, needs_person=False),
    "objectives.approve": Verb(approve),
    "objectives.promote": Verb(promote),
}
