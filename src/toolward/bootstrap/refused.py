"""A start that was refused is written down: at once where the log can be opened, else at the next good start.

What could not be recorded waits in `.toolward/refused_starts.jsonl`. The lines are only notes, and whoever
owns the state directory can change them; once absorbed they are records like any other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.adapters.stores.sqlite import DATABASE, PUBLIC_KEY, SqliteStore
from toolward.bootstrap.assembly import House
from toolward.errors import ReasonCode, ToolwardError
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.model.event import Event, EventKind
from toolward.model.incident import IncidentKind
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Put, Store

NOTES: Final = "refused_starts.jsonl"
NOTES_BYTES_MAX: Final = 1024 * 1024
"""A supervisor that starts again for ever must not fill the disk."""
_TEXT_MAX: Final = 2_000


async def record_refusal(state: Path, error: ToolwardError, *, clock: Clock, ids: Ids) -> None:
    """Write down that a start was refused; never raises for a log or a disk that can not take it."""
    if not (await asyncio.to_thread(state.is_dir)):
        return
    reason = error.reason
    note = {
        "time_ns": str(clock.now_ns()),
        "code": reason.code.value,
        "text": error.diagnostics()[:_TEXT_MAX],
    }
    try:
        store = _open(state, clock=clock, ids=ids)
        try:
            await _commit(store, [note], clock=clock, ids=ids, restored=False)
        finally:
            await store.close()
    except (ToolwardError, OSError, ValueError):
        _append(state / NOTES, note)


async def absorb_refusals(house: House) -> int:
    """Turn waiting notes into records, and close the incidents of refused starts: the ward is open again."""
    path = house.ward.state / NOTES
    notes = _read(path)
    await _commit(house.store, notes, clock=house.clock, ids=house.ids, restored=True)
    path.unlink(missing_ok=True)
    return len(notes)


def _open(state: Path, *, clock: Clock, ids: Ids) -> Store:
    """The ward's store without its files, which may be what is wrong: the log's key says its name."""
    if not (state / DATABASE).exists():
        raise FileNotFoundError(state / DATABASE)
    origin = (state / PUBLIC_KEY).read_text(encoding="utf-8").partition("+")[0]
    return SqliteStore.open(state, origin=origin, clock=clock, ids=ids)


async def _commit(
    store: Store, notes: list[Mapping[str, str]], *, clock: Clock, ids: Ids, restored: bool
) -> None:
    auditor = Auditor(store, clock=clock, ids=ids)
    incidents = Incidents(store, auditor, clock=clock, ids=ids)
    events: list[Event] = []
    writes: list[Put] = []
    for note in notes:
        body = {"reason": note["code"], "text": note["text"], "refused_ns": note["time_ns"]}
        events.append(auditor.event(EventKind.GATEWAY_REFUSED_START, body=body))
        opened, put = incidents.open(
            _kind(note["code"]), "ward", note["text"], contained=True, onset_ns=int(note["time_ns"])
        )
        events.append(opened)
        writes.append(put)
    if events:
        await store.commit(events, writes)
    if restored:
        for kind in (IncidentKind.REFUSED_START, IncidentKind.INTEGRITY_FAILURE):
            for closed, put in incidents.restore(kind, "ward"):
                await store.commit([closed], [put])


def _kind(code: str) -> IncidentKind:
    broken = code == ReasonCode.INTEGRITY_BROKEN.value
    return IncidentKind.INTEGRITY_FAILURE if broken else IncidentKind.REFUSED_START


def _append(path: Path, note: Mapping[str, str]) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # the refusal itself is already on its way to whoever asked for the start
    with os.fdopen(handle, "ab") as file:
        if file.tell() < NOTES_BYTES_MAX:
            file.write(orjson.dumps(note) + b"\n")


def _read(path: Path) -> list[Mapping[str, str]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    notes: list[Mapping[str, str]] = []
    for line in lines:
        try:
            value: Any = orjson.loads(line)
            note = {name: str(value[name]) for name in ("code", "text", "time_ns")}
            int(note["time_ns"])
        except (ValueError, KeyError, TypeError):
            note = {"code": ReasonCode.INTERNAL.value, "text": "a note that can not be read", "time_ns": "0"}
        notes.append(note)
    return notes
