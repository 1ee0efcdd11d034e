"""The kept result of an earlier execution, handed out again and recorded as that: never a second effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from toolward.errors import ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.registry.registry import Registry
from toolward.kernel.sessions import Sessions
from toolward.model.call import Call, Reply, WireError
from toolward.model.event import EventKind
from toolward.model.label import UNKNOWN
from toolward.model.tool import Manifest
from toolward.ports.store import Change, Store
from toolward.rules.lineage.remember import remember_result

UPSTREAM_ERROR = -32000
"""JSON-RPC code of what is the tool's, as settle has it."""


class Answered(Exception):
    """The call was answered before, so it leaves the corridor here: no refusal, and no second effect."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.call_id)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Replay:
    """Finds what an execution answered, as it left: redacted and recorded."""

    store: Store
    auditor: Auditor
    sessions: Sessions
    registry: Registry

    async def __call__(
        self, call: Call, earlier: str, *, by: str, why: Mapping[str, str] | None = None
    ) -> Reply | None:
        """What `earlier`, a call id, was answered with; `by` says what it was found by, `why` its name.

        None if that is not known (any more): not settled yet, or its payload was erased. A session that did
        not see the result yet is tainted by it as by any other. Raises `AuditUnavailable`, `Overloaded`.
        """
        found = self.store.find(kind=EventKind.CALL_OUTCOME.value, call_id=earlier, limit=1)
        if not found:
            return None
        outcome = orjson.loads(found[0].body)
        kept = self.store.payload(found[0].index, "result")
        status = outcome["status"]
        if kept is None and status != "unknown":
            return None
        result, error = _answer(status, kept)
        changes: list[Change] = []
        if outcome.get("session_id") != call.session.session_id:
            changes = self._taint(call, outcome.get("tool", ""), result or {"content": [_said(error)]})
        event = self.auditor.event(
            EventKind.CALL_REPLAYED,
            call_id=call.call_id,
            session_id=call.session.session_id,
            tool=outcome.get("tool", ""),
            body={
                "principal": call.session.principal.as_json(),
                "target": call.target,
                "args_digest": call.args_digest,
                "of": earlier,
                "by": by,
                "status": status,
                "result_digest": outcome.get("result_digest", ""),
                "era": call.era.value,
                "door": call.door,
                **(why or {}),
            },
        )
        receipts = await self.store.commit([event], changes)
        receipt = {**receipts[0].as_json(), "replayed": earlier}
        return Reply(call_id=call.call_id, result=result, error=error, receipt=receipt)

    def _taint(self, call: Call, tool: str, result: Mapping[str, Any]) -> list[Change]:
        """No better than unknown: which of these words the other session's call brought is not known here."""
        served = self.registry.served(tool)
        vouched = served[1].manifest.result if served else None
        label = remember_result(
            self.sessions.memory(call.session.session_id),
            result,
            call_id=call.call_id,
            manifest=Manifest(result=UNKNOWN.join(vouched or UNKNOWN)),
        )
        session = self.sessions.current(call.session.session_id) or call.session
        session, changed = self.sessions.tainted(session, label, source=call.call_id)
        self.sessions.keep(session)
        return [self.sessions.put(session)] if changed else []


def _answer(status: str, kept: bytes | None) -> tuple[Mapping[str, Any] | None, WireError | None]:
    if status in ("returned", "tool_error"):
        return orjson.loads(kept or b"{}"), None
    if kept is None:
        text = "it is not known whether this call happened: the gateway stopped while it ran"
        code = ReasonCode.UNKNOWN_OUTCOME.value
        data = {"code": code, "reason": text, "remedy": "look before you try again"}
        return None, WireError(code=UPSTREAM_ERROR, message=text, data=data)
    said = orjson.loads(kept)
    return None, WireError(code=said["code"], message=said["message"], data=said["data"])


def _said(error: WireError | None) -> Any:
    return "" if error is None else [error.message, error.data]
