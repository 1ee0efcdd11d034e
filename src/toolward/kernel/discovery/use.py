"""A clause of each call of a found tool: how it went, and the proposal to promote what is worth a look."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from typing_extensions import override

from toolward.errors import ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import Clause
from toolward.kernel.tasks import Background
from toolward.model.call import RawOutcome, Reply, Returned, Stopped
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.tool import ToolState
from toolward.ports.store import Change, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.found.worth import (
    SESSIONS_NAMED_MAX,
    OpenRecord,
    evidence_digest,
    is_worth_a_look,
    record_from_json,
)


class OpenUse(Clause):
    """The record of each found tool; another version begins anew."""

    def __init__(self, store: Store, auditor: Auditor, background: Background) -> None:
        self._store = store
        self._auditor = auditor
        self._background = background
        self._records: dict[str, OpenRecord] = {}

    def of(self, key: str, version: str) -> OpenRecord:
        """What is known of that version."""
        record = self._records.get(key)
        if record is None:
            row = self._store.get(Table.OPEN_USE, f"tool/{key}")
            record = record_from_json(orjson.loads(row.body)) if row else OpenRecord(version=version)
        if record.version != version:
            record = OpenRecord(version=version)
        self._records[key] = record
        return record

    @override
    def binds(self, permit: Permit) -> bool:
        return permit.labelled.facts.found

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        version = permit.labelled.resolved.version
        if version is None:
            return ()
        record = self.of(version.key, version.digest)
        record.calls += 1
        if len(record.sessions) < SESSIONS_NAMED_MAX:
            record.sessions.add(permit.labelled.call.session.session_id)
        if type(outcome) is Returned:
            record.bytes_in += outcome.size_bytes
            record.bytes_max = max(record.bytes_max, outcome.size_bytes)
            record.failures += outcome.result.get("isError") is True
        else:
            record.failures += 1
            record.unfit += type(outcome) is Stopped and outcome.reason == ReasonCode.BAD_OUTPUT.value
        return [_put(version.key, record)]

    @override
    def concluded(self, permit: Permit, reply: Reply) -> None:
        """The proposal follows the call, once for each version: nobody waits for it."""
        version = permit.labelled.resolved.version
        if version is None:
            return
        record = self.of(version.key, version.digest)
        if record.proposed or not is_worth_a_look(record):
            return
        record.proposed = True
        _ = self._background.start(self._propose(version.key, record))

    async def _propose(self, key: str, record: OpenRecord) -> None:
        body = {
            "pinned": record.version,
            "candidate": record.version,
            "aspects": [],
            "state": ToolState.DISCOVERED.value,
            "evidence": record.evidence(),
            "evidence_digest": evidence_digest(record),
        }
        event = self._auditor.event(EventKind.TOOL_PROPOSED, tool=key, body=body)
        await self._store.commit([event], [_put(key, record)])


def _put(key: str, record: OpenRecord) -> Put:
    return Put(Table.OPEN_USE, f"tool/{key}", canonical(record.as_json()))
