"""What people see of an approval: one JSON form, whoever shows it."""

from __future__ import annotations

from typing import Any

import orjson

from toolward.kernel.approvals.asking import iso, need_to_json
from toolward.kernel.approvals.ground import Ground
from toolward.model.approval import Approval, Vote
from toolward.model.tool import Effect, Manifest


def approval_to_json(
    ground: Ground, approval: Approval, *, manifest: Manifest | None, objective: str, base_url: str
) -> dict[str, Any]:
    """Everything that an approver needs to judge. `arguments` is None when they were erased."""
    principal = approval.call["principal"]
    arguments = ground.arguments(approval)
    votes = [*approval.votes, *([approval.glass] if approval.glass is not None else [])]
    return {
        "approval": approval.approval_id,
        "state": ground.state(approval).value,
        "tool": approval.tool,
        "server": approval.tool.partition("/")[0],
        "session": approval.call["session_id"],
        "objective": objective,
        "asked_at": iso(approval.asked_ms),
        "expires_at": iso(approval.expires_ms),
        "who": {"user": principal["user"], "agent": principal["agent"]},
        "arguments": None if arguments is None else orjson.loads(arguments),
        "lineage": [dict(leaf) for leaf in approval.lineage],
        "reason": approval.reason,
        "remedy": approval.remedy,
        "policies": [
            {"id": policy, "reason": part.reason} for part in approval.need.parts for policy in part.policies
        ],
        "need": need_to_json(approval),
        "votes": [_vote(vote) for vote in votes],
        "undo": undo_in_words(manifest),
        "preview": None,
        "url": f"{base_url}/approvals/{approval.approval_id}",
        "used_by": approval.used_by,
    }


def undo_in_words(manifest: Manifest | None) -> str:
    """How the effect can be undone, as far as the tool's manifest says."""
    if manifest is None:
        return "nothing is known of how this is undone"
    undo = manifest.undo
    if manifest.effect is Effect.READ_ONLY:
        return "it only reads: there is nothing to undo"
    if manifest.effect is Effect.IRREVERSIBLE:
        held = undo.escrow if undo is not None else None
        if held is not None and held.until_seal:
            return "it can not be undone; it can be cancelled until its session is sealed"
        if held is not None and held.delay_s:
            return f"it can not be undone; it can be cancelled for {held.delay_s} seconds"
        return "it can not be undone"
    if undo is None or undo.compensate is None:
        return f"its manifest calls it {manifest.effect.value}, and does not say how it is undone"
    window = undo.compensate.window_s
    by = f"by the tool `{undo.compensate.use.tool}`" if undo.compensate.use else "by putting the files back"
    return f"it can be undone {by}, for {window // 3600} hours"


def _vote(vote: Vote) -> dict[str, str]:
    return {
        "by": vote.by,
        "role": vote.role,
        "verdict": vote.verdict.value,
        "at": iso(vote.at_ms),
        "note": vote.note,
    }
