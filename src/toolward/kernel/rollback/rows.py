"""The journal's rows: what is stored of each effect, and how it is read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from toolward.model.event import EventKind
from toolward.model.rollback import Effect, EffectStatus, Way
from toolward.model.tool import Effect as ToolEffect
from toolward.ports.images import Image, Listing
from toolward.ports.store import Put, Store, Table
from toolward.rules.canonical import canonical

_CALLS_MAX: Final = 100_000
"""Of one session, looked at for what it wrote; a session is an agent's run, not a year of it."""
EffectRow = dict[str, Any]
"""`session_id, call_id, tool, version, effect, way, resources, paths, volatile, within, until_ns, before,
after, left, answer, status, undone`: `before` and `after` are digests of listings, `left` is that of `after`
without what is volatile, `answer` that of what the precondition answered."""


def key_of(session_id: str, call_id: str) -> str:
    """Of a row of `Table.EFFECT`."""
    return f"{session_id}/{call_id}"


def put_effect(row: Mapping[str, Any], *, expect: int | None = None) -> Put:
    """The write of a row."""
    return Put(Table.EFFECT, key_of(row["session_id"], row["call_id"]), canonical(dict(row)), expect=expect)


def read_effect(store: Store, session_id: str, call_id: str) -> EffectRow | None:
    """One row."""
    row = store.get(Table.EFFECT, key_of(session_id, call_id))
    return orjson.loads(row.body) if row is not None else None


def rows_of(store: Store, session_id: str = "") -> Iterator[tuple[EffectRow, int]]:
    """The rows of a session, or all, with their versions."""
    for row in store.scan(Table.EFFECT, f"{session_id}/" if session_id else ""):
        yield orjson.loads(row.body), row.version


def is_undoable(row: Mapping[str, Any]) -> bool:
    """Whether something of it may stand that a rollback would take back."""
    return not row["undone"] and row["way"] != Way.NONE.value and row["status"] != EffectStatus.FAILED.value


def without_row(store: Store, session_id: str) -> Iterator[EffectRow]:
    """A session's calls that wrote and have no row, out of the log.

    No manifest says how they are undone, or the row went when the time for undoing them was over.
    """
    for record in store.find(
        kind=EventKind.CALL_INTENT.value, session_id=session_id, limit=_CALLS_MAX, newest_first=False
    ):
        said = orjson.loads(record.body)
        if said["effect"] == ToolEffect.READ_ONLY or not said["version"] or "undo_of" in said:
            continue
        undo = said.get("undo")
        if undo is not None and read_effect(store, session_id, said["call_id"]) is not None:
            continue
        yield {
            "session_id": session_id,
            "call_id": said["call_id"],
            "tool": said["tool"],
            "version": said["version"],
            "effect": said["effect"],
            "way": undo["way"] if undo is not None else Way.NONE.value,
            "resources": undo["resources"] if undo is not None else [],
            "until_ns": "1" if undo is not None else "0",  # long ago
            "status": _became(store, said["call_id"]).value,
            "undone": "",
        }


def _became(store: Store, call_id: str) -> EffectStatus:
    """As the outcome's record has it."""
    found = store.find(kind=EventKind.CALL_OUTCOME.value, call_id=call_id, limit=1)
    if not found:
        return EffectStatus.OPEN
    said = orjson.loads(found[0].body)
    if said.get("never_ran"):
        return EffectStatus.FAILED
    return EffectStatus.COMMITTED if said["status"] == "returned" else EffectStatus.UNKNOWN


def intent_index(store: Store, call_id: str, *, session_id: str = "") -> int:
    """Where a call's intent stands in the log, or -1; with `session_id`, -1 for another session's too."""
    found = store.find(kind=EventKind.CALL_INTENT.value, call_id=call_id, session_id=session_id, limit=1)
    return found[0].index if found else -1


def undo_pins(store: Store, call_id: str) -> dict[str, str]:
    """The versions that were pinned for undoing a call, as its signed intent says."""
    found = store.find(kind=EventKind.CALL_INTENT.value, call_id=call_id, limit=1)
    undo = orjson.loads(found[0].body).get("undo", {}) if found else {}
    return {str(key): str(digest) for key, digest in undo.get("tools", ())}


def effect_of(store: Store, row: Mapping[str, Any]) -> Effect:
    """The row as the plan wants it."""
    return Effect(
        call_id=row["call_id"],
        session_id=row["session_id"],
        tool=row["tool"],
        version=row["version"],
        order=intent_index(store, row["call_id"]),
        status=EffectStatus(row["status"]),
        way=Way(row["way"]),
        resources=tuple(row["resources"]),
        until_ns=int(row["until_ns"]),
        undone=row["undone"],
    )


def image_to_json(image: Image) -> dict[str, Any]:
    """As it lies in a payload."""
    return {"paths": list(image.paths), "listing": dict(image.listing), "contents": dict(image.contents)}


def image_from_json(value: Mapping[str, Any]) -> Image:
    """The inverse."""
    return Image(paths=tuple(value["paths"]), listing=value["listing"], contents=value["contents"])


def digest_of(store: Store, listing: Listing) -> str:
    """The keyed digest of what lies there."""
    return store.digest(canonical(dict(listing)))


def steady(listing: Listing, volatile: Sequence[str]) -> Listing:
    """What lies there, without what merely looking may change."""
    return {
        path: said
        for path, said in listing.items()
        if not any(path == each or path.startswith(each + "/") for each in volatile)
    }
