"""Writes that have to come through: what was done in the world is said, however long the log's queue is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from toolward.errors import Overloaded
from toolward.model.event import Event
from toolward.ports.store import Change, Store

QUEUE_PAUSE_S: Final = 0.05
"""Before a record is offered again to a log whose queue is full."""


async def commit_patiently(store: Store, events: Sequence[Event], changes: Sequence[Change] = ()) -> None:
    """As `Store.commit`, but wait while the log's queue is full. Raises `AuditUnavailable`, `Conflict`."""
    while True:
        try:
            _ = await store.commit(events, changes)
        except Overloaded:
            await asyncio.sleep(QUEUE_PAUSE_S)
        else:
            return
