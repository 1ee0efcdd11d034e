"""What has long been over leaves the state; the record keeps all of it."""

from __future__ import annotations

from typing import Final

import orjson

from toolward.kernel.approvals.ground import Ground
from toolward.model.approval import Approval
from toolward.ports.store import Change, Delete, Table

KEPT_MS: Final = 30 * 86_400 * 1000
"""How long an answered question can still be listed."""
ROWS_MAX: Final = 1_000
"""Rows removed in one commit."""


async def prune(ground: Ground) -> int:
    """Remove approvals that ended long ago, with what leads to them, and grants; returns how many rows."""
    before = ground.now_ms() - KEPT_MS
    changes: list[Change] = []
    for approval in ground.every():
        if max(approval.expires_ms, approval.used_ms, approval.ended_ms) < before:
            changes += _removed(ground, approval)
    changes += [
        Delete(Table.GRANT, key)
        for row in ground.store.scan(Table.GRANT)
        if "/" not in row.key and orjson.loads(row.body)["expires_ms"] < before
        for key in (row.key, *(use.key for use in ground.store.scan(Table.GRANT, f"{row.key}/")))
    ]
    for start in range(0, len(changes), ROWS_MAX):
        await ground.store.commit([], changes[start : start + ROWS_MAX])
    return len(changes)


def _removed(ground: Ground, approval: Approval) -> list[Change]:
    """Its row, and the rows that name it and no later one."""
    names = [
        key
        for key in (approval.question, approval.subject)
        if (row := ground.store.get(Table.QUESTION, key)) is not None
        and orjson.loads(row.body)["approval"] == approval.approval_id
    ]
    return [Delete(Table.APPROVAL, approval.approval_id), *(Delete(Table.QUESTION, key) for key in names)]
