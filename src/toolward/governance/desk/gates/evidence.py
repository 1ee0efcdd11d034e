"""Evidence is a record in the log, named by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from toolward.config.ward import Ward
from toolward.governance.desk.context import Desk
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.model.tool import ToolVersion
from toolward.ports.store import Record
from toolward.rules.canonical import canonical

_LOOKED_AT_MAX: Final = 1_000
"""Records of a tool in which evidence for one of its versions is looked for."""


def newest(desk: Desk, kind: EventKind, version: ToolVersion, *, what: str = "") -> dict[str, Any] | None:
    """The newest evidence of that kind for this very version, with its digest as `evidence`."""
    for record in desk.parts.store.find(kind=kind.value, tool=version.key, limit=_LOOKED_AT_MAX):
        body: dict[str, Any] = orjson.loads(record.body)
        if body["version"] == version.digest and (not what or body["what"] == what):
            return {**body, "evidence": digest_of(record)}
    return None


def digest_of(record: Record) -> str:
    """How evidence is named: the hash of its leaf in the log."""
    return f"sha256:{record.leaf_hash.hex()}"


async def show(
    desk: Desk, version: ToolVersion, said: Mapping[str, Any], findings: Sequence[Any], *, by: Principal
) -> dict[str, Any]:
    """Write down how a check of a version came out; `said` has `what` and `holds`.

    `findings` may hold arguments and answers, so they are kept beside the log and not in it.
    """
    body = {"version": version.digest, "by": by.as_json(), **said}
    event = desk.parts.auditor.event(
        EventKind.TOOL_EVIDENCE,
        tool=version.key,
        body=body,
        payloads={"findings": canonical(list(findings))},
    )
    receipts = await desk.parts.store.commit([event])
    (record,) = desk.parts.store.records(receipts[0].index, receipts[0].index + 1)
    return {"tool": version.key, **body, "evidence": digest_of(record)}


def tests_digest(ward: Ward, key: str) -> str:
    """Of a tool's examples as they are now: what was shown by others is not shown."""
    examples = [msgspec.to_builtins(each) for _, _, each in ward.tests.examples if each.call == key]
    return "sha256:" + hashlib.sha256(orjson.dumps(examples, option=orjson.OPT_SORT_KEYS)).hexdigest()
