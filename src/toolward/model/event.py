"""Audit records: what is written down. Integers, strings, booleans, lists and objects only; ASCII keys."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class EventKind(StrEnum):
    """Every kind of record; `docs/audit-records.md` lists them all."""

    GATEWAY_STARTED = "gateway.started"
    GATEWAY_STOPPED = "gateway.stopped"
    GATEWAY_REFUSED_START = "gateway.refused_start"
    SESSION_OPENED = "session.opened"
    SESSION_SAVEPOINT = "session.savepoint"
    SESSION_STEP = "session.step"  # the host moved it to a step of its objective
    OBJECTIVE_ENDED = "objective.ended"
    OBJECTIVE_APPROVED = "objective.approved"
    OBJECTIVE_PROMOTED = "objective.promoted"
    CALL_INTENT = "call.intent"
    CALL_OUTCOME = "call.outcome"
    CALL_MERGED = "call.merged"  # intent and outcome in one: approved, read_only, non-egress
    CALL_DENIED = "call.denied"
    CALL_REPLAYED = "call.replayed"  # the kept result of an earlier execution was handed out again
    CALL_PROBED = "call.probed"  # an unknown outcome was looked into
    APPROVAL_ASKED = "approval.asked"
    APPROVAL_VOTED = "approval.voted"  # a person agreed or refused
    APPROVAL_ENDED = "approval.ended"  # expired, or the question is another one by now
    APPROVAL_REMINDED = "approval.reminded"
    GRANT_MADE = "grant.made"
    GRANT_ENDED = "grant.ended"
    ENDORSED = "source.endorsed"
    BREAK_GLASS = "approval.break_glass"
    ESCROW_HELD = "escrow.held"
    ESCROW_ENDED = "escrow.ended"  # released or cancelled
    SESSION_SEALED = "session.sealed"
    ROLLBACK_PLANNED = "rollback.planned"
    ROLLBACK_STEP = "rollback.step"
    ROLLBACK_ENDED = "rollback.ended"
    STOPPED = "stop.set"  # the kill switch
    STOP_LIFTED = "stop.lifted"
    CIRCUIT_OPENED = "circuit.opened"  # a tool or server fails, so nothing is sent there for a while
    CIRCUIT_CLOSED = "circuit.closed"
    TOOL_PROVED = "tool.proved"  # do and undo were tried in the sandbox channel
    CONTRACT_PROBED = "contract.probed"  # a recorded example was tried: it holds, or not
    RESULTS_DRIFTED = "results.drifted"  # a tool's results are no longer like its baseline
    LISTED = "listed"
    WEBHOOK_SENT = "webhook.sent"
    WEBHOOK_FAILED = "webhook.failed"  # given up after every try
    SIGN_IN_FAILED = "sign_in.failed"
    LINK_MADE = "link.made"  # a one-time link to the pages
    SIGNED_IN = "sign_in.made"  # a browser, by such a link
    SIGNED_OUT = "sign_in.ended"
    SOURCE_READ = "source.read"  # a discovery source was looked at, or a found server's list
    SERVER_PROPOSED = "server.proposed"  # by an agent
    SERVER_ADMITTED = "server.admitted"
    SERVER_REJECTED = "server.rejected"
    TOOL_PROPOSED = "tool.proposed"
    TOOL_APPROVED = "tool.approved"
    TOOL_QUARANTINED = "tool.quarantined"
    TOOL_REVOKED = "tool.revoked"
    TOOL_DEPRECATED = "tool.deprecated"
    TOOL_ROLLED_BACK = "tool.rolled_back"
    TOOL_TESTED = "tool.tested"  # what its channel's gate asks for was shown
    TOOL_PROMOTED = "tool.promoted"
    TOOL_EVIDENCE = "tool.evidence"  # how a check of a version came out
    TOOL_SIGNED = "tool.signed"  # a person put their name under a version
    PROMOTION_PROPOSED = "promotion.proposed"
    PROMOTION_SIGNED = "promotion.signed"
    PROMOTION_REFUSED = "promotion.refused"
    PROMOTION_ENDED = "promotion.ended"  # taken back
    CANARY_BEGUN = "canary.begun"
    CANARY_ENDED = "canary.ended"
    TOOL_SHADOWED = "tool.shadowed"
    TOOL_RESTORED = "tool.restored"
    REVISION_ACTIVATED = "revision.activated"
    CREDENTIAL_CREATED = "credential.created"
    CREDENTIAL_REVOKED = "credential.revoked"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_RESTORED = "incident.restored"
    EGRESS_JUDGED = "egress.judged"  # a cage asked for a connection
    EGRESS_ENDED = "egress.ended"
    EXPORTED = "audit.exported"
    PAYLOAD_SHREDDED = "payload.shredded"


class Event(Struct, frozen=True, kw_only=True):
    """One record before it has a place in the log. `payloads` are kept encrypted beside it, never in it.

    The record in the log is `{"v", "event_id", "time", "kind", …body}`; `body` holds keyed digests of
    what the payloads contain, so that erasing a payload leaves every proof intact.
    """

    event_id: str  # UUIDv7
    time_ns: int
    kind: EventKind
    call_id: str = ""
    session_id: str = ""
    tool: str = ""  # server/name
    body: Mapping[str, Any] = field(default_factory=dict)
    payloads: Mapping[str, bytes] = field(default_factory=dict)  # name -> canonical JSON
    digests: Mapping[str, str] = field(
        default_factory=dict
    )  # of payloads that `Store.digest` has seen already


class Receipt(Struct, frozen=True, kw_only=True):
    """Proof that a record is in the log (C2SP tlog-proof content): hashes are base64."""

    index: int
    leaf_hash: str
    proof: tuple[str, ...]
    checkpoint: str  # a C2SP signed note

    def as_json(self) -> dict[str, Any]:
        """The form that travels in a reply's `_meta`."""
        return {
            "index": self.index,
            "leafHash": self.leaf_hash,
            "proof": list(self.proof),
            "checkpoint": self.checkpoint,
        }
