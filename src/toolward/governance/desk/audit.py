"""The record, for people who ask what happened and for people who do not believe it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb, text
from toolward.governance.verify import export as export_records
from toolward.governance.verify import verify_store
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.ports.store import Record

ROWS_MAX = 10_000
"""Rows of one answer; the export has no such limit."""


async def query(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Records by `kind`, `call_id`, `session`, `tool`, `since_ns`, `limit`; newest first unless `oldest`."""
    del by
    limit = parameters.get("limit", 50)
    since = parameters.get("since_ns", 0)
    if not isinstance(limit, int) or not 0 < limit <= ROWS_MAX or not isinstance(since, int):
        raise Rejected(f"`limit` is a number from 1 to {ROWS_MAX}, `since_ns` a number")
    found = desk.parts.store.find(
        kind=text(parameters, "kind", ""),
        call_id=text(parameters, "call_id", ""),
        session_id=text(parameters, "session", ""),
        tool=text(parameters, "tool", ""),
        since_ns=since,
        limit=limit,
        newest_first=not parameters.get("oldest"),
    )
    return [_row(record) for record in found]


async def tail(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Records from index `after` on (default: the last 20)."""
    del by
    size = desk.parts.store.size()
    start = parameters.get("after", max(0, size - 20))
    if not isinstance(start, int) or start < 0:
        raise Rejected("`after` is the index of a record")
    return [_row(record) for record in desk.parts.store.records(start, min(size, start + ROWS_MAX))]


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One record with its payloads. Parameter: `index`."""
    del by
    index = parameters.get("index")
    if not isinstance(index, int):
        raise Rejected("`index` is the number of a record")
    for record in desk.parts.store.records(index, index + 1):
        row = _row(record)
        names = row["record"].get("payload_digests", {})
        row["payloads"] = {name: _payload(desk, index, name) for name in names}
        return row
    raise Rejected(f"no record {index}", remedy="see `toolward audit tail`")


async def verify(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Check the whole live log: every record, the tree, the signatures.

    Parameters: `key`, a public key kept elsewhere, and `since`, an earlier checkpoint; both optional.
    Raises `IntegrityBroken` when one of them is none, or not of this log.
    """
    del by
    store = desk.parts.store
    key, since = text(parameters, "key", "") or store.verifier_key(), text(parameters, "since", "")
    # in a thread: reading a long log must not hold up the calls of others
    verdict = await asyncio.to_thread(verify_store, store, key, since)
    return verdict.as_json()


async def export(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Write the log to the file `path`, to be verified elsewhere with the public key alone."""
    path = Path(text(parameters, "path"))
    event = desk.parts.auditor.event(EventKind.EXPORTED, body={"by": by.as_json(), "file": path.name})
    await desk.parts.store.commit([event])
    await asyncio.to_thread(export_records, desk.parts.store, path)
    return {
        "path": str(path),
        "records": desk.parts.store.size(),
        "public_key": desk.parts.store.verifier_key(),
    }


def _payload(desk: Desk, index: int, name: str) -> Any:
    body = desk.parts.store.payload(index, name)
    return "(erased)" if body is None else orjson.loads(body)


def _row(record: Record) -> dict[str, Any]:
    return {"index": record.index, "record": orjson.loads(record.body)}


VERBS = {
    "audit.query": Verb(query),
    "audit.tail": Verb(tail),
    "audit.show": Verb(show),
    "audit.verify": Verb(verify, needs_person=False),
    "audit.export": Verb(export),
}
