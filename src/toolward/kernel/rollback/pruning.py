"""The journal forgets effects that can not be undone any more; the log still tells of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from toolward.kernel.rollback.entries import rows_of_rollbacks
from toolward.kernel.rollback.rows import key_of, rows_of
from toolward.kernel.safeguards.places import Places
from toolward.model.rollback import EffectStatus, RollbackState
from toolward.ports.store import Change, Conflict, Delete, Put, Store, Table
from toolward.rules.canonical import canonical

ROWS_MAX: Final = 200
"""Rows looked at, or removed in one commit, before others have their turn."""
GRACE_S: Final = 3_600
"""A rollback that was planned just before the end finds its rows."""
_ENDED: Final = (RollbackState.COMPENSATED.value, RollbackState.PARTIALLY_COMPENSATED.value)


async def prune(store: Store, now_ns: int) -> int:
    """Remove rows whose window is over; how many. Raises `AuditUnavailable`.

    Not those of a session whose rollback has not ended; nor while what they touched meets an effect that can
    still be undone, since its rollback has to see who changed the same.
    """
    before_ns = now_ns - GRACE_S * 1_000_000_000
    unsettled = {row["session_id"] for row in rows_of_rollbacks(store) if row["state"] not in _ENDED}
    over: list[tuple[str, bytes, int, list[str]]] = []
    standing = Places()
    for number, (row, version) in enumerate(rows_of(store), 1):
        until_ns = int(row["until_ns"])
        if (
            0 < until_ns < before_ns
            and row["status"] != EffectStatus.OPEN.value
            and row["session_id"] not in unsettled
        ):
            key = key_of(row["session_id"], row["call_id"])
            over.append((key, canonical(row), version, row["resources"]))
        else:
            standing.add(row["resources"])
        if number % ROWS_MAX == 0:
            await asyncio.sleep(0)
    gone = [each for each in over if not any(standing.meets(name) for name in each[3])]
    for start in range(0, len(gone), ROWS_MAX):
        changes: list[Change] = []
        for key, body, version, _ in gone[start : start + ROWS_MAX]:
            changes += [Put(Table.EFFECT, key, body, expect=version), Delete(Table.EFFECT, key)]
        with suppress(Conflict):  # one is being written to: the next time
            await store.commit([], changes)
    return len(gone)
