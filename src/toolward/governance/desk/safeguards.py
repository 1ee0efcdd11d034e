"""What people do with safeguards: stop and lift, look at what is held, call it off or let it go, seal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.kernel.stops import StopKind
from toolward.model.principal import Principal


async def set_stop(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Stop an agent, a tool, a session, a server or everything, now. Parameters: `kind`, `name`, `why`."""
    return await desk.parts.safeguards.stops.set(
        _kind(parameters), text(parameters, "name", ""), why=text(parameters, "why"), by=by
    )


async def lift_stop(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Let it go on. Parameters: `kind`, `name`, `why` (optional)."""
    return await desk.parts.safeguards.stops.lift(
        _kind(parameters), text(parameters, "name", ""), why=text(parameters, "why", ""), by=by
    )


async def list_stops(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """What is stopped, why, by whom and since when."""
    del parameters, by
    return desk.parts.safeguards.stops.all()


async def list_held(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """What is held in escrow, oldest first. Parameter: `session` (optional)."""
    del by
    return desk.parts.safeguards.releases.pending(text(parameters, "session", ""))


async def cancel_held(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Call off what is held. Parameters: `escrow`, `why` (optional)."""
    return await desk.parts.safeguards.releases.cancel(
        text(parameters, "escrow"), why=text(parameters, "why", ""), by=by
    )


async def release_held(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Let what is held happen now; policy, pins, stops and approvals of now decide. Parameter: `escrow`."""
    return await desk.parts.safeguards.releases.release(text(parameters, "escrow"), by=by)


async def seal(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Accept a session's work so far: what it held goes out, what it took is let go. Parameter: `session`."""
    return await desk.parts.safeguards.seals(text(parameters, "session"), by=by)


def _kind(parameters: Mapping[str, Any]) -> StopKind:
    try:
        return StopKind(text(parameters, "kind"))
    except ValueError as error:
        raise Rejected(f"`kind` is one of {', '.join(StopKind)}") from error


VERBS = {
    "stops.set": Verb(set_stop),
    "stops.lift": Verb(lift_stop),
    "stops.list": Verb(list_stops, needs_person=False),
    "escrow.list": Verb(list_held),
    "escrow.cancel": Verb(cancel_held, needs_person=False),  # the caller that asked for it may, too
    "escrow.release": Verb(release_held),
    "sessions.seal": Verb(seal),
}
