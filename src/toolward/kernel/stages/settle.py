"""8 settle: check, label and redact what came back; outcome and taint durable in one commit; release."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, assert_never

import orjson
from msgspec import Struct

from toolward.errors import AuditStopped, AuditUnavailable, Overloaded, ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import Clause, Clauses
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.intend import describe, payloads_of, tool_of
from toolward.kernel.tasks import Background
from toolward.kernel.turn import turn_kept
from toolward.model.call import (
    LIST_ACTIONS,
    Action,
    Failed,
    Intent,
    RawOutcome,
    Reply,
    ResolvedCall,
    Returned,
    Stopped,
    WireError,
)
from toolward.model.event import Event, EventKind
from toolward.model.label import Confidentiality, Label
from toolward.model.permit import Permit
from toolward.model.tool import ToolState
from toolward.ports.clock import Clock
from toolward.ports.secrets import Secrets
from toolward.ports.store import Change, Store
from toolward.rules.canonical import depth_at_most
from toolward.rules.clearance import Withheld, cleared_result, lowered, marker, result_label, unseen
from toolward.rules.lineage.memory import Heard
from toolward.rules.lineage.remember import remember_result
from toolward.rules.redact import redact
from toolward.rules.signals.results import ResultSigns, look_at_result

UPSTREAM_ERROR = -32000
"""JSON-RPC code for what is the tool's fault and has no code of its own."""
RESULT_DEPTH_MAX = 100
"""Nesting of an answer; past 254 it could not be written as JSON, and its outcome would be lost."""
QUEUE_PAUSE_S = 0.05
"""Before an outcome is offered again to a log whose queue is full."""
FULL_PAUSE_S = 1.0
"""Before an outcome is offered again to a log whose disk was full."""


class Checked(Struct, frozen=True, kw_only=True):
    """An outcome ready to be written down: what leaves, and what is said of it."""

    status: str
    reason: str
    message: str
    result: Mapping[str, Any] | None
    error: WireError | None
    body: bytes
    redactions: int
    withheld: Withheld | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Stage 8. Recovery calls `close`, the same code, for intents that a crash left open."""

    store: Store
    auditor: Auditor
    sessions: Sessions
    secrets: Secrets
    clock: Clock
    background: Background
    clauses: Clauses
    declassified: Callable[[Permit], str] = lambda _: ""  # who let through what this call answers

    async def __call__(
        self, permit: Permit, intent: Intent, outcome: RawOutcome, *, revision: ActiveRevision
    ) -> Reply:
        """The reply, once its record is durable. Raises `AuditUnavailable`: then no result leaves."""
        call = permit.labelled.call
        gone = await turn_kept()
        outcome = _fit(outcome)
        bound = self.clauses.of(call.call_id)
        gone = (bool(bound) and await self._looked(bound, permit, outcome)) or gone
        clearance = revision.clearance_of(call.session.principal.agent)
        by = self.declassified(permit) if clearance < Confidentiality.CONFIDENTIAL else ""
        checked = self._check(outcome, permit, Confidentiality.CONFIDENTIAL if by else clearance)
        changes: list[Change] = []
        body: dict[str, Any] = describe(permit, revision) if intent.merged else {}
        learnt = self._learn(permit, outcome, checked, lower=clearance if by else None)
        if learnt is not None:
            known, change = self._taint(permit, *learnt)
            if by:
                known["declassified"] = by
            body |= known
            changes += change
        body |= _notes(outcome)
        body |= self._facts(checked, duration_ns=self.clock.monotonic_ns() - call.received_ns)
        payloads: dict[str, bytes] = {}
        digests = {"arguments": call.args_digest, "result": body["result_digest"]}
        kind = EventKind.LISTED if call.action is Action.LIST_TOOLS else EventKind.CALL_OUTCOME
        if intent.merged and kind is not EventKind.LISTED:
            kind = EventKind.CALL_MERGED
        if intent.merged:
            payloads |= payloads_of(permit.labelled)
        if kind is not EventKind.LISTED:
            payloads["result"] = checked.body
        event = self.auditor.event(
            kind,
            call_id=call.call_id,
            session_id=call.session.session_id,
            tool=tool_of(permit),
            body=body,
            payloads=payloads,
            digests=digests,
        )
        for clause in bound:
            changes += clause.conclude(permit, outcome)
        receipt = await self._written(permit, event, changes)
        resolved = permit.labelled.resolved
        receipt = {
            **receipt,
            "call": call.call_id,  # by which later calls may refer to this answer
            "isolation": resolved.isolation,
            "scope": resolved.scope,
            **_warnings(resolved),
        }
        receipt |= {name: body[name] for name in ("source", "withheld", "signals") if name in body}
        reply = Reply(call_id=call.call_id, result=checked.result, error=checked.error, receipt=receipt)
        self.clauses.conclude(permit, reply)
        if gone:
            raise asyncio.CancelledError
        return reply

    async def _looked(self, bound: Sequence[Clause], permit: Permit, outcome: RawOutcome) -> bool:
        """Let each clause look at what the call left; whether the caller went away meanwhile.

        A caller that goes must not take the outcome with it: whoever went is told once it is durable.
        """
        work = [found for each in bound if (found := each.inspection(permit, outcome)) is not None]
        if not work:
            return False

        async def look() -> None:
            for each in work:
                await each()

        looking, gone = self.background.start(look()), False
        while not looking.done():
            try:
                await asyncio.wait({looking})
            except asyncio.CancelledError:
                gone = True
        return gone

    async def close(self, event: Event, changes: list[Change]) -> Mapping[str, Any]:
        """Write an outcome, which closes its intent; returns the receipt.

        Waits while the log's queue is full. Raises `AuditUnavailable`.
        """
        while True:
            try:
                receipts = await self.store.commit([event], changes)
            except Overloaded:
                # it ran: to say that nothing did would have the agent do it again. So the caller waits.
                await asyncio.sleep(QUEUE_PAUSE_S)
            else:
                return receipts[0].as_json()

    async def _written(self, permit: Permit, event: Event, changes: list[Change]) -> Mapping[str, Any]:
        """As `close`; when the caller goes or nothing can be written, it is written later all the same."""
        try:
            return await self.close(event, changes)
        except (asyncio.CancelledError, AuditUnavailable):
            _ = self.background.start(self._end(permit, event, changes))
            raise

    async def _end(self, permit: Permit, event: Event, changes: list[Change]) -> None:
        """Offer the outcome until it is written, once; whoever waits for its end is told then."""
        while True:
            try:
                await self.store.commit([])  # what was handed over before is written, or never will be
                if not self.store.find(kind=event.kind.value, call_id=event.call_id, limit=1):
                    _ = await self.close(event, changes)
            except AuditStopped:
                return  # the next start finds the open intent, and closes it
            except (AuditUnavailable, Overloaded):
                await asyncio.sleep(FULL_PAUSE_S)
            else:
                self.clauses.conclude(permit, Reply(call_id=event.call_id))
                return

    def _check(self, outcome: RawOutcome, permit: Permit, clearance: Confidentiality) -> Checked:
        """Redact, and turn the outcome into what may leave to an agent of that clearance."""
        known = self.secrets.known_values()
        version = permit.labelled.resolved.version
        manifest = version.manifest if version is not None else None
        match outcome:
            case Returned():
                result, redactions = redact(outcome.result, known)
                kept: Withheld | None = None
                if clearance < Confidentiality.CONFIDENTIAL and is_governed(permit, outcome):
                    kept = cleared_result(
                        result, manifest, clearance, look_at_result(result, orjson.dumps(result)).secrets
                    )
                    result = kept.result
                return Checked(
                    status="tool_error" if outcome.result.get("isError") is True else "returned",
                    reason="",
                    message="",
                    result=result,
                    error=None,
                    body=orjson.dumps(result),
                    redactions=redactions,
                    withheld=kept,
                )
            case Failed():
                data, redactions = redact(outcome.data, known)
                text, more = redact(outcome.message, known)
                if outcome.from_server and result_label(manifest).confidentiality > clearance:
                    data, text = None, marker(result_label(manifest).confidentiality)
                error = WireError(code=outcome.code, message=text, data=data)
                return _refused("failed", outcome.reason, error, redactions + more)
            case Stopped():
                text, redactions = redact(outcome.message, known)
                error = WireError(
                    code=UPSTREAM_ERROR,
                    message=text,
                    data={
                        "code": outcome.reason,
                        "reason": text,
                        "remedy": "it may have happened: look before you try again",
                    },
                )
                return _refused("stopped", outcome.reason, error, redactions)
            case _:
                assert_never(outcome)

    def _learn(
        self, permit: Permit, outcome: RawOutcome, checked: Checked, *, lower: Confidentiality | None
    ) -> tuple[Label, ResultSigns] | None:
        """Remember the values of what reaches the agent of a server's words, if anything does: their label.

        A credential is confidential wherever it stands, and so is a session that has read one.
        """
        said = _said(outcome, checked)
        if said is None or not is_governed(permit, outcome):
            return None
        call = permit.labelled.call
        version = permit.labelled.resolved.version
        manifest = version.manifest if version else None
        memory, signs = self.sessions.memory(call.session.session_id), look_at_result(said, checked.body)
        label = remember_result(
            memory,
            said,
            call_id=call.call_id,
            manifest=manifest if lower is None else lowered(manifest, lower),
            asked=permit.labelled,
            encoded=checked.body if said is checked.result else b"",
        )
        if signs.secrets:
            label = Label(label.integrity, Confidentiality.CONFIDENTIAL)
            texts = orjson.dumps({"secrets": list(signs.secrets)})
            memory.waiting.append(Heard(body=texts, call_id=call.call_id, default=label, fields={}))
        return label, signs

    def _taint(self, permit: Permit, label: Label, signs: ResultSigns) -> tuple[dict[str, Any], list[Change]]:
        """Raise the session's taint; what the record says of it.

        The live session is raised before the commit: a taint that comes too early only makes a
        decision stricter, one that comes too late would let another call of the session slip through.
        Nothing waits from here to the commit: an older row would be written over a newer one.
        """
        call = permit.labelled.call
        session = self.sessions.current(call.session.session_id) or call.session
        session, changed = self.sessions.tainted(session, label, source=call.call_id)
        self.sessions.keep(session)
        body: dict[str, Any] = {
            "taint": session.taint.as_json(),
            "source": {"from": tool_of(permit), **label.as_json()},
        }
        if seen := signs.as_json():
            body["signals"] = seen
        return body, [self.sessions.put(session)] if changed else []

    def _facts(self, checked: Checked, *, duration_ns: int) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "status": checked.status,
            "result_digest": self.auditor.digest(checked.body),
            "bytes": len(checked.body),
            "duration_us": duration_ns // 1000,
        }
        if checked.reason:
            facts["reason"] = checked.reason
        if checked.redactions:
            facts["redactions"] = checked.redactions
        if checked.withheld is not None and checked.withheld.count:
            facts["withheld"] = checked.withheld.as_json()
        return facts


def is_governed(permit: Permit, outcome: RawOutcome) -> bool:
    """Whether words of a server reach the agent: no list, no copy, and not the gateway's own answer."""
    unseen = permit.labelled.call.action in LIST_ACTIONS or permit.labelled.call.copy_of
    return not unseen and not (type(outcome) is Returned and outcome.own)


def _warnings(resolved: ResolvedCall) -> dict[str, Any]:
    """What the caller should know of the tool, beside its answer."""
    said: dict[str, Any] = {}
    if resolved.state is ToolState.DEPRECATED:
        said["deprecated"] = {"successor": resolved.successor}
    if resolved.review_by:
        said["review_overdue"] = resolved.review_by
    return said


def _fit(outcome: RawOutcome) -> RawOutcome:
    """The outcome, unless it is nested so deeply that it could not be written down: then bad output."""
    if isinstance(outcome, Returned):
        fits = _nests_within(outcome.result, RESULT_DEPTH_MAX)
    else:
        fits = not isinstance(outcome, Failed) or _nests_within(outcome.data, RESULT_DEPTH_MAX)
    if fits:
        return outcome
    return Stopped(reason=ReasonCode.BAD_OUTPUT.value, message="the answer is nested too deep")


def _nests_within(value: Any, depth: int) -> bool:
    with suppress(TypeError):  # too deep to be written, or what a function gave is no JSON
        if depth_at_most(orjson.dumps(value)) <= depth:
            return True
    level = [value]
    for _ in range(depth):
        level = [
            item
            for each in level
            if type(each) is dict or type(each) is list
            for item in (each.values() if type(each) is dict else each)
        ]
        if not level:
            return True
    return False


def _notes(outcome: RawOutcome) -> dict[str, Any]:
    """What a record says of an outcome only where it applies."""
    notes: dict[str, Any] = {}
    if type(outcome) is Failed and not outcome.from_server:
        notes["never_ran"] = True
    if outcome.hint:
        notes["hint"] = outcome.hint
    if outcome.retries:
        notes["retries"] = outcome.retries
    if type(outcome) is Returned and outcome.repaired:
        notes["repaired"] = list(outcome.repaired)
    return notes


def _said(outcome: RawOutcome, checked: Checked) -> Mapping[str, Any] | None:
    """What the server's words reach the model with: its result, or its error, which it words as it likes."""
    if checked.error is not None and isinstance(outcome, Failed) and outcome.from_server:
        return {"content": [checked.error.message, checked.error.data]}
    if checked.withheld is not None and checked.withheld.count:
        return unseen(checked.withheld.result)
    return checked.result


def _refused(status: str, reason: str, error: WireError, redactions: int) -> Checked:
    body = orjson.dumps({"code": error.code, "message": error.message, "data": error.data})
    return Checked(
        status=status,
        reason=reason or ReasonCode.TOOL_FAILED.value,
        message=error.message,
        result=None,
        error=error,
        body=body,
        redactions=redactions,
    )
