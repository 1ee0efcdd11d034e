"""A way back for a ward whose files can not even be read: the files alone, out of the stored revision.

Whoever can do this can write the files anyway; pins are put back by the desk afterwards, for a person only.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson

from toolward.adapters.stores.sqlite import DATABASE, PUBLIC_KEY, SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.config.reading import STATE_DIRECTORY
from toolward.config.ward_files import write_files
from toolward.errors import Rejected
from toolward.kernel.revision import revision_from_json
from toolward.ports.store import Table


def put_files_back(ward: Path, beginning: str) -> bool:
    """Write the files of the one revision whose digest begins so; False where there is no log yet.

    Raises `Rejected` when none or several begin so, `WardError` when another process has the ward open.
    """
    return asyncio.run(_put_back(ward, beginning))


async def _put_back(ward: Path, beginning: str) -> bool:
    state = ward / STATE_DIRECTORY
    if not (state / DATABASE).exists():
        return False
    origin = (state / PUBLIC_KEY).read_text(encoding="utf-8").partition("+")[0]
    store = SqliteStore.open(state, origin=origin, clock=SystemClock(), ids=SystemIds())
    try:
        rows = list(store.scan(Table.REVISION, f"sha256:{beginning.removeprefix('sha256:')}"))
    finally:
        await store.close()
    if len(rows) != 1:
        raise Rejected(f"`{beginning[:100]}` names {len(rows)} revisions", remedy="give more of its digest")
    write_files(ward, revision_from_json(orjson.loads(rows[0].body)).files)
    return True
