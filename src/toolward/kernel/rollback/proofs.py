"""What `toolward tools prove` found of a version: whether it keeps the class that it declares."""

from __future__ import annotations

from typing import Any, Final

import orjson

from toolward.errors import Denied, ReasonCode
from toolward.model.event import EventKind
from toolward.model.tool import Effect, ToolVersion
from toolward.ports.store import Store

CLASSES: Final = frozenset({Effect.REVERSIBLE, Effect.COMPENSABLE})
"""What a proof is asked for: words by which policies let a call pass because it can be taken back."""


def last_proof(store: Store, version: ToolVersion) -> dict[str, Any] | None:
    """The newest verdict on this very version: `holds`, `findings`, `time`; None if it was never tried."""
    for record in store.find(kind=EventKind.TOOL_PROVED.value, tool=version.key):
        body = orjson.loads(record.body)
        if body["version"] == version.digest:
            return {"holds": body["holds"], "findings": body["findings"], "time": body["time"]}
    return None


def check_proved(store: Store, version: ToolVersion) -> None:
    """Raise `Denied` for a version that promises to be undone and was not shown to keep that."""
    if version.manifest.effect not in CLASSES:
        return
    proof = last_proof(store, version)
    if proof is not None and proof["holds"]:
        return
    found = f": {proof['findings'][0]}" if proof is not None and proof["findings"] else ""
    raise Denied(
        f"{version.key} is called `{version.manifest.effect.value}`, and "
        f"{'did not keep that' if proof is not None else 'nobody has shown that it keeps that'}{found}",
        code=ReasonCode.NOT_PROVED,
        remedy=f"run `toolward tools prove {version.key}`, or call it `irreversible` in its manifest",
    )
