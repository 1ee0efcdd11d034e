"""Known-good states: everything that decides, by one digest, to look at and to return to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from toolward.errors import Rejected, ToolwardError
from toolward.governance.desk.context import Desk, Verb, text
from toolward.kernel.revision import objectives_of, pins_of, revision_from_json
from toolward.model.principal import Principal
from toolward.ports.store import Table
from toolward.rules.revision import diff_revisions


async def list_revisions(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> list[dict[str, Any]]:
    """Every revision that was ever in force, newest first."""
    del parameters, by
    current = desk.revision().digest
    rows = [
        {
            "revision": row.key,
            "activated_ns": value["activated_ns"],
            "files": len(value["files"]),
            "tools": len(value["pins"]),
            "current": row.key == current,
        }
        for row in desk.parts.store.scan(Table.REVISION)
        for value in [orjson.loads(row.body)]
    ]
    return sorted(rows, key=lambda row: str(row["activated_ns"]), reverse=True)


async def show(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """One revision's files and pins. `revision` may be a unique beginning of the digest."""
    del by
    digest, value = _load(desk, text(parameters, "revision", desk.revision().digest))
    return {"revision": digest, **value}


async def diff(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """What lies between two revisions. Parameters: `old`, `new` (default: the current one)."""
    del by
    old_digest, old = _load(desk, text(parameters, "old"))
    new_digest, new = _load(desk, text(parameters, "new", desk.revision().digest))
    lines = diff_revisions(revision_from_json(old), revision_from_json(new))
    return {"old": old_digest, "new": new_digest, "lines": list(lines)}


async def restore(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Return configuration, policies and pins to what they were: files first, then pins.

    `waits_for` says what is still to be done when the servers are others than those that run, else "".
    """
    digest, value = _load(desk, text(parameters, "revision"))
    desk.write_files(revision_from_json(value).files)
    changed = await desk.parts.registry.restore(pins_of(value, desk.revision().channel), by=by)
    await desk.parts.objectives.restore(desk.revision().channel, objectives_of(value), by=by)
    await desk.repin(by)
    waits_for = ""
    try:
        await desk.reload(by)
    except ToolwardError as error:  # these files were in force before: only running servers can be in the way
        waits_for = error.reason.sentence()
    return {
        "revision": digest,
        "current": desk.revision().digest,
        "tools_changed": changed,
        "waits_for": waits_for,
    }


def _load(desk: Desk, beginning: str) -> tuple[str, dict[str, Any]]:
    wanted = beginning if beginning.startswith("sha256:") else f"sha256:{beginning}"
    rows = list(desk.parts.store.scan(Table.REVISION, wanted))
    if len(rows) != 1:
        raise Rejected(
            f"`{beginning[:100]}` names {len(rows)} revisions", remedy="see `toolward revision list`"
        )
    return rows[0].key, orjson.loads(rows[0].body)


VERBS = {
    "revision.list": Verb(list_revisions, needs_person=False),
    "revision.show": Verb(show, needs_person=False),
    "revision.diff": Verb(diff, needs_person=False),
    "revision.restore": Verb(restore),
}
