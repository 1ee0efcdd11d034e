"""Sessions as people see them: what each did, how it can be taken back, and taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import ReasonCode, Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.kernel.rollback.entries import RollbackRow, residuals_of
from toolward.kernel.rollback.history import effects_of
from toolward.kernel.rollback.rows import rows_of, without_row
from toolward.kernel.session_rows import session_from_json
from toolward.model.principal import Principal
from toolward.model.rollback import UNDO_AGENT
from toolward.ports.store import Table
from toolward.rules.rollback import plan_hash


async def list_sessions(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Sessions of agents, newest first, with how much each wrote. Parameter: `limit` (50)."""
    del by
    limit = parameters.get("limit", 50)
    if not isinstance(limit, int) or limit < 1:
        raise Rejected("`limit` is no whole number above 0")
    written: dict[str, list[str]] = {}
    for row, _ in rows_of(desk.parts.store):
        written.setdefault(row["session_id"], []).append(row["undone"])
    ended = {row["session_id"]: row for row in desk.rollbacks.rows()}
    found = []
    for stored in desk.parts.store.scan(Table.SESSION):
        session = session_from_json(stored.key, stored.body)
        if session.principal.agent == UNDO_AGENT:
            continue
        effects = [*written.get(stored.key, []), *("" for _ in without_row(desk.parts.store, stored.key))]
        found.append(
            {
                "session": stored.key,
                "user": session.principal.user,
                "agent": session.principal.agent,
                "objective": session.objective,
                "opened_ns": str(session.opened_ns),
                "writes": len(effects),
                "undone": sum(bool(rollback) for rollback in effects),
                "rollback": ended[stored.key]["state"] if stored.key in ended else "",
            }
        )
    return sorted(found, key=lambda row: str(row["opened_ns"]), reverse=True)[:limit]


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One session: what it wrote, in order, how each is undone, its savepoints and its rollbacks."""
    del by
    session_id = known(desk, text(parameters, "session"))
    session = desk.parts.sessions.current(session_id)
    if session is None:
        raise Rejected(f"no session `{session_id[:100]}`", code=ReasonCode.UNKNOWN_SESSION)
    return {
        "session": session_id,
        "principal": session.principal.as_json(),
        "objective": session.objective,
        "step": session.step,
        "steps": [
            {
                "step": run.name,
                "calls": run.calls,
                "written": run.written,
                "bytes_out": run.bytes_out,
                "entered_ns": str(run.entered_ns),
            }
            for run in session.runs
        ],
        "ended": session.ended,
        "opened_ns": str(session.opened_ns),
        "savepoints": [{"name": mark.name, "log_index": mark.log_index} for mark in session.savepoints],
        "effects": [
            {
                "call": effect.call_id,
                "tool": effect.tool,
                "record": effect.order,
                "status": effect.status.value,
                "way": effect.way.value,
                "resources": list(effect.resources),
                "undone": effect.undone,
                "accepted": effect.accepted,
            }
            for effect in effects_of(desk.parts.store, session_id)
        ],
        "rollbacks": [shown(row) for row in desk.rollbacks.rows(session_id)],
    }


async def rollback(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Take back what a session did.

    Parameters: `session`; `to`, a savepoint or a call that is undone too; `plan`, to see and do nothing;
    `all_or_nothing`; `why`.
    """
    session_id, to = known(desk, text(parameters, "session")), text(parameters, "to", "")
    if parameters.get("plan"):
        plan = desk.rollbacks.plan(session_id, to)
        return {**plan.as_json(), "plan_hash": plan_hash(plan)}
    row = await desk.rollbacks.run(
        session_id,
        by=by,
        to=to,
        why=text(parameters, "why", ""),
        all_or_nothing=bool(parameters.get("all_or_nothing")),
    )
    return shown(row)


async def retry(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Try the stuck steps of a `rollback` again, with the same plan."""
    return shown(await desk.rollbacks.retry(text(parameters, "rollback"), by=by))


async def accept(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Let the effect of a stuck `call` of a `rollback` stay, for a `reason`; two people have to."""
    row = await desk.rollbacks.accept(
        text(parameters, "rollback"), text(parameters, "call"), reason=text(parameters, "reason"), by=by
    )
    return shown(row)


def shown(row: RollbackRow) -> dict[str, Any]:
    """A rollback as people and programs see it."""
    return {
        "rollback": row["rollback_id"],
        "session": row["session_id"],
        "to": row["to"],
        "state": row["state"],
        "plan_hash": row["plan_hash"],
        "by": row["by"],
        "why": row["why"],
        "steps": [
            {
                "call": step["call_id"],
                "tool": step["tool"],
                "way": step["way"],
                "resources": step["resources"],
                "state": row["steps"][step["call_id"]]["state"],
                "note": row["steps"][step["call_id"]]["note"],
                "accepted": row["steps"][step["call_id"]]["accepted"],
            }
            for step in row["plan"]["steps"]
        ],
        "residuals": row.get("residuals", residuals_of(row)),
    }


def known(desk: Desk, beginning: str) -> str:
    """The one session whose id begins so. Raises `Rejected`."""
    if desk.parts.store.get(Table.SESSION, beginning) is not None:
        return beginning
    found = [row.key for row in desk.parts.store.scan(Table.SESSION, beginning)] if beginning else []
    if len(found) != 1:
        raise Rejected(
            f"`{beginning[:100]}` names {len(found)} sessions",
            code=ReasonCode.UNKNOWN_SESSION,
            remedy="see `toolward sessions list`",
        )
    return found[0]


VERBS = {
    "sessions.list": Verb(list_sessions),
    "sessions.show": Verb(show),
    "sessions.rollback": Verb(rollback),
    "sessions.retry": Verb(retry),
    "sessions.accept": Verb(accept),
}
