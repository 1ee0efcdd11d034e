"""A refusal is an outcome too: it is recorded, coded and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolward.errors import (
    AuditUnavailable,
    BadArguments,
    CallerError,
    GatewayError,
    Reason,
    ReasonCode,
    ToolwardError,
    UnknownTool,
)
from toolward.kernel.attempt import Attempt
from toolward.kernel.audit import Auditor
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Call, Failed, Reply, WireError
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.ports.store import Store

INVALID_PARAMS = -32602
DENIED = -32001
"""JSON-RPC codes: the specification's for the caller's fault, one of the server range for refusals."""
UNAVAILABLE = -32003

_DECISIONS = {ReasonCode.APPROVAL_REQUIRED: "ask", ReasonCode.HELD_IN_ESCROW: "hold"}


@dataclass(frozen=True, slots=True)
class Refuse:
    """Writes a denial down and answers it. A reply that could not be recorded says only that."""

    store: Store
    auditor: Auditor

    async def __call__(
        self, attempt: Attempt, call: Call | None, refusal: ToolwardError, revision: ActiveRevision
    ) -> Reply:
        """The reply for a refusal, after its record is durable."""
        reason = refusal.reason
        receipt = None
        if not isinstance(refusal, AuditUnavailable):
            try:
                receipt = await self._record(attempt, call, reason, revision)
            except AuditUnavailable as failure:
                reason, refusal = failure.reason, failure
        return Reply(
            call_id=call.call_id if call else "",
            error=WireError(code=_wire_code(refusal), message=reason.sentence(), data=reason.as_json()),
            receipt=receipt,
        )

    async def unreadable(
        self, principal: Principal, reason: Reason, *, where: tuple[str, str], revision: ActiveRevision
    ) -> None:
        """A request of a known caller that never became a call; `where` is server and door."""
        body = {
            "principal": principal.as_json(),
            "action": "",
            "target": "",
            "server": where[0],
            "decision": "deny",
            "reason": {"code": reason.code.value, "details": dict(reason.details)},
            "revision": revision.digest,
            "door": where[1],
        }
        await self.store.commit([self.auditor.event(EventKind.CALL_DENIED, body=body)])

    async def _record(
        self, attempt: Attempt, call: Call | None, reason: Reason, revision: ActiveRevision
    ) -> Any:
        target = attempt.params.get("name") or attempt.params.get("uri") or ""
        body: dict[str, Any] = {
            "principal": attempt.principal.as_json(),
            "action": attempt.action.value,
            "target": str(target)[:500].encode("utf-8", "replace").decode(),
            "server": attempt.server,
            "decision": _DECISIONS.get(reason.code, "deny"),
            "reason": {"code": reason.code.value, "details": dict(reason.details)},
            "revision": revision.digest,
            "era": attempt.era.value,
            "door": attempt.door,
        }
        if call is not None:
            body["args_digest"] = call.args_digest
        event = self.auditor.event(
            EventKind.CALL_DENIED,
            call_id=call.call_id if call else "",
            session_id=attempt.session_id,
            body=body,
            payloads={"arguments": call.arguments_json} if call else {},
        )
        receipts = await self.store.commit([event])
        return receipts[0].as_json()


def not_run(reason: Reason, code: int = DENIED) -> Failed:
    """The outcome of a call that was refused after its intent was written: nothing ran."""
    return Failed(
        code=code,
        message=reason.sentence(),
        reason=reason.code.value,
        data=reason.as_json(),
        from_server=False,
    )


def _wire_code(refusal: ToolwardError) -> int:
    if isinstance(refusal, (UnknownTool, BadArguments, CallerError)):
        return INVALID_PARAMS
    if isinstance(refusal, GatewayError):
        return UNAVAILABLE
    return DENIED
