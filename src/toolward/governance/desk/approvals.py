"""What waits for people, and how they answer. Doors and pages add nothing to this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.desk.previews import preview_of
from toolward.kernel.approvals.view import approval_to_json
from toolward.model.approval import Approval, ApprovalState
from toolward.model.principal import Principal

ROWS_MAX: Final = 1_000
"""Approvals of one answer; the record has all."""


async def list_approvals(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Newest first.

    Parameters: `state` ("" for all, else pending, the default, or another), `limit`, and `before`, the last
    approval of the page before.
    """
    del by
    state, limit = text(parameters, "state", ApprovalState.PENDING.value), parameters.get("limit", 100)
    if state and state not in ApprovalState.__members__.values():
        raise Rejected(f"no state `{state[:100]}`", remedy=f"use one of {', '.join(ApprovalState)}")
    if not isinstance(limit, int) or not 0 < limit <= ROWS_MAX:
        raise Rejected(f"`limit` is a number from 1 to {ROWS_MAX}")
    return [
        _shown(desk, each) for each in islice(_newest(desk, state, text(parameters, "before", "")), limit)
    ]


def _newest(desk: Desk, state: str, before: str) -> Iterator[Approval]:
    """What is open is at hand; anything else is read from the store, no further than it is wanted."""
    approvals = desk.parts.approvals
    is_open = state in (ApprovalState.PENDING, ApprovalState.APPROVED)
    found = approvals.watch.newest(before) if is_open else approvals.ground.newest(before)
    return (each for each in found if not state or approvals.ground.state(each).value == state)


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One approval, with a preview where the tool's manifest names one.

    Parameters: `approval`; `preview`, false where nobody looks at it: it is a call of its own each time.
    """
    del by
    approval = desk.parts.approvals.ground.found(text(parameters, "approval")).approval
    if parameters.get("preview") is False:
        return _shown(desk, approval)
    return {**_shown(desk, approval), "preview": await preview_of(desk, approval)}


async def approve(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Agree to exactly this call. Parameters: `approval`, `note`."""
    voting = desk.parts.approvals.voting
    return _shown(desk, await voting.approve(text(parameters, "approval"), by, text(parameters, "note", "")))


async def refuse(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Say no; the agent is told, with the note. Parameters: `approval`, `note`."""
    voting = desk.parts.approvals.voting
    return _shown(desk, await voting.refuse(text(parameters, "approval"), by, text(parameters, "note", "")))


async def break_glass(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Lift it alone, and answer for it. Parameters: `approval`, `reason`."""
    voting = desk.parts.approvals.voting
    return _shown(
        desk, await voting.break_glass(text(parameters, "approval"), by, text(parameters, "reason"))
    )


async def review(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Close the incident of a broken glass, as another person. Parameters: `approval`, `note`."""
    voting = desk.parts.approvals.voting
    return _shown(desk, await voting.review(text(parameters, "approval"), by, text(parameters, "note", "")))


def _shown(desk: Desk, approval: Approval) -> dict[str, Any]:
    parts = desk.parts
    session = parts.sessions.current(str(approval.call["session_id"]))
    version = parts.registry.version(approval.version) if approval.version else None
    return approval_to_json(
        parts.approvals.ground,
        approval,
        manifest=version.manifest if version is not None else None,
        objective=session.objective if session is not None else "",
        base_url=desk.url(),
    )


VERBS = {
    "approvals.list": Verb(list_approvals),
    "approvals.show": Verb(show, by_webhook=True),
    "approvals.approve": Verb(approve, by_webhook=True),
    "approvals.refuse": Verb(refuse, by_webhook=True),
    "approvals.break_glass": Verb(break_glass),
    "approvals.review": Verb(review),
}
