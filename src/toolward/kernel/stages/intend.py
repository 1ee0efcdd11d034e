"""6 intend: a durable promise before any effect. No record, no action."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolward.errors import Contested
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import Clauses, Promise
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import LIST_ACTIONS, UPSTREAM_ACTIONS, Action, Intent, LabelledCall
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.tool import Effect, ToolState
from toolward.ports.store import Change, Conflict, Store
from toolward.rules.canonical import canonical
from toolward.rules.lineage.edges import edges_to_json
from toolward.rules.signals.history import amount_of
from toolward.rules.step import bytes_out

_MERGED = LIST_ACTIONS | UPSTREAM_ACTIONS | {Action.SEARCH_TOOLS, Action.DESCRIBE_TOOL}


class UnderWay(asyncio.CancelledError):
    """The caller went away while the intent was being written: that can not be called back, but may fail."""


@dataclass(frozen=True, slots=True)
class Intend:
    """Stage 6."""

    store: Store
    auditor: Auditor
    clauses: Clauses

    async def __call__(self, permit: Permit, revision: ActiveRevision) -> Intent:
        """Raises `AuditUnavailable`, `Contested` and what a clause raises: then nothing ran.

        An approved, read-only tool without egress needs no record of its own before it runs: its one
        merged record is durable before the reply (DESIGN, the corridor).
        """
        if is_merged(permit):
            return Intent(call_id=permit.labelled.call.call_id, log_index=-1, merged=True)
        promises = await self.clauses.promises(permit, revision)
        try:
            return await self._commit(permit, revision, promises)
        except UnderWay:
            raise
        except BaseException:
            self.clauses.lapse(permit)
            raise

    async def was_made(self, permit: Permit) -> bool:
        """Whether an intent that was `UnderWay` came to be: what was handed over first is written first."""
        await self.store.commit([])
        call_id = permit.labelled.call.call_id
        return bool(self.store.find(kind=EventKind.CALL_INTENT.value, call_id=call_id, limit=1))

    async def _commit(self, permit: Permit, revision: ActiveRevision, promises: Sequence[Promise]) -> Intent:
        call = permit.labelled.call
        body, payloads = describe(permit, revision), payloads_of(permit.labelled)
        changes: list[Change] = []
        for promise in promises:
            body |= promise.body
            payloads |= promise.payloads
            changes += promise.changes
        event = self.auditor.event(
            EventKind.CALL_INTENT,
            call_id=call.call_id,
            session_id=call.session.session_id,
            tool=tool_of(permit),
            body=body,
            payloads=payloads,
            digests={"arguments": call.args_digest},
        )
        try:
            receipts = await self.store.commit([event], changes)
        except asyncio.CancelledError as gone:
            raise UnderWay from gone
        except Conflict as conflict:
            raise Contested(
                "what the call stood on changed while it was being written down, so it did not run",
                remedy="send the same call again",
                details=(("retry_after_s", "1"),),
            ) from conflict
        return Intent(call_id=call.call_id, log_index=receipts[0].index, merged=False)


def payloads_of(labelled: LabelledCall) -> dict[str, bytes]:
    """What the agent sent to the server: the arguments, and its answers when it is a retry.

    And where they came from, which is erased with them: a pointer may hold a name that is a value.
    """
    call = labelled.call
    payloads = {"arguments": call.arguments_json}
    if call.retry:
        payloads["retry"] = canonical(call.retry)
    if edges := edges_to_json(labelled.leaves):
        payloads["lineage"] = edges
    return payloads


def is_merged(permit: Permit) -> bool:
    """Whether one record, written with the outcome, is enough for this call."""
    resolved = permit.labelled.resolved
    if permit.approvals or permit.labelled.call.idempotency_key:
        return False  # what a person agreed to is used up, and a key is claimed, before it runs and not after
    if resolved.version is None:
        # lists and searches go nowhere, and what a server asks is part of a call that has its intent;
        # the rest (resources, prompts, completion) takes an agent's words to a server that nobody vouched for
        return resolved.call.action in _MERGED
    manifest = resolved.version.manifest
    if manifest.undo is not None and manifest.undo.snapshot is not None:
        return False  # its word is checked: what it reads is looked at before and after
    return (
        resolved.state is not None
        and resolved.state.stands
        and manifest.effect is Effect.READ_ONLY
        and not manifest.egress
    )


def tool_of(permit: Permit) -> str:
    """`server/name` for tools, the server for everything else."""
    resolved = permit.labelled.resolved
    return resolved.version.key if resolved.version else resolved.server


def describe(permit: Permit, revision: ActiveRevision) -> dict[str, Any]:
    """What every record of a call says about who, what and why; enumerations are written as their values."""
    call = permit.labelled.call
    facts = permit.labelled.facts
    body: dict[str, Any] = {
        "principal": call.session.principal.as_json(),
        "action": call.action,
        "target": call.target,
        "args_digest": permit.args_digest,
        "version": permit.version_digest,
        "effect": facts.effect,
        "path": facts.path,
        "path_why": facts.path_why,
        "channel": revision.channel_of(call.session.principal.agent),
        "revision": revision.digest,
        "decision": "allow",
        "policies": list(permit.policies),
        "policy_digest": permit.policy_digest,
        "permit_id": permit.permit_id,
        "isolation": permit.labelled.resolved.isolation,
        "scope": permit.labelled.resolved.scope,
        "era": call.era,
        "door": call.door,
    }
    if facts.step:
        body |= {"objective": facts.objective, "step": facts.step, "bytes_out": bytes_out(permit.labelled)}
    if (amount := amount_of(permit.labelled.resolved)) != 0:
        body["amount"] = f"{amount:f}" if amount is not None else ""
    if (bits := permit.labelled.history.telling.bits) and not permit.approvals:
        body["unexplained"] = bits
    if call.confidence:
        body["self_reported"] = {"confidence": call.confidence}
    said_of = {"undo_of": call.undo_of, "copy_of": call.copy_of, "stands_in_for": call.stands_in_for}
    body |= {name: other for name, other in said_of.items() if other}
    resolved = permit.labelled.resolved
    if resolved.variant:
        body["variant"] = resolved.variant
    if resolved.state is ToolState.DEPRECATED:
        body["deprecated"] = True
    if permit.would:
        body["would"] = permit.would
    binding = revision.upstream(resolved.upstream)
    bare = binding is not None and binding.unsafe_no_sandbox
    if revision.marks or bare:
        body["unsafe"] = [*revision.marks, *(("no_sandbox",) if bare else ())]
    return body
