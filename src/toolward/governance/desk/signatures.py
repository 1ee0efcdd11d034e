"""Signed versions: the statement to sign, and the envelope that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import Rejected
from toolward.governance.desk.context import Desk, Verb
from toolward.governance.desk.evidence import version_of
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.rules.canonical import canonical
from toolward.rules.dsse import signer_of, statement_of


async def statement(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """The in-toto statement of a version. Parameters: `tool`, `digest` (a beginning)."""
    del by
    found = version_of(desk, parameters)
    return {"tool": found.key, "digest": found.digest, "statement": statement_of(found).decode()}


async def signed(desk: Desk, parameters: Mapping[str, Any], by: Principal) -> dict[str, Any]:
    """Keep a signature: `tool`, `digest`, `envelope` (DSSE). Raises `Rejected` unless a signer's key fits."""
    found, envelope = version_of(desk, parameters), parameters.get("envelope")
    if not isinstance(envelope, dict):
        raise Rejected("`envelope` is no object", remedy="toolward tools sign makes one")
    signer = signer_of(envelope, found, desk.ward().config.signers)
    body = {"version": found.digest, "signer": signer, "by": by.as_json()}
    event = desk.parts.auditor.event(
        EventKind.TOOL_SIGNED, tool=found.key, body=body, payloads={"envelope": canonical(envelope)}
    )
    await desk.parts.store.commit([event])
    return {"tool": found.key, **body}


VERBS = {
    "tools.statement": Verb(statement, needs_person=False),
    "tools.signed": Verb(signed),
}
