"""What has long been over leaves the state; the record keeps all of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import orjson

from toolward.kernel.approvals.grants import Grants
from toolward.kernel.approvals.ground import Ground
from toolward.model.approval import Approval
from toolward.ports.store import Change, Conflict, Delete, Put, Table

KEPT_MS: Final = 30 * 86_400 * 1000
"""How long an answered question can still be listed."""
ROWS_MAX: Final = 200
"""Approvals or grants removed in one commit."""


async def prune(ground: Ground, grants: Grants) -> int:
    """Remove approvals that ended long ago, with what leads to them, and grants; returns how many rows."""
    before = ground.now_ms() - KEPT_MS
    removed: list[list[Change]] = []
    for approval in ground.every():
        if approval.asked_ms >= before:
            break  # they come in the order in which they were asked
        if max(approval.expires_ms, approval.used_ms, approval.ended_ms) < before:
            removed.append(_removed(ground, approval))
    removed += [[Delete(Table.GRANT, key) for key in keys] for keys in grants.forget(before)]
    count = 0
    for start in range(0, len(removed), ROWS_MAX):
        changes = [change for each in removed[start : start + ROWS_MAX] for change in each]
        with suppress(Conflict):  # something of it is asked anew at this moment: the next time
            await ground.store.commit([], changes)
            count += sum(isinstance(change, Delete) for change in changes)
    return count


def _removed(ground: Ground, approval: Approval) -> list[Change]:
    """Its row, and the rows that name it and no later one."""
    changes: list[Change] = [Delete(Table.APPROVAL, approval.approval_id)]
    for key in (approval.question, approval.subject, approval.plea):
        row = ground.store.get(Table.QUESTION, key)
        if row is not None and orjson.loads(row.body)["approval"] == approval.approval_id:
            changes += [Put(Table.QUESTION, key, row.body, expect=row.version), Delete(Table.QUESTION, key)]
    return changes
