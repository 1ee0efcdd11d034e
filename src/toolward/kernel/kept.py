"""What an execution answered, kept in its record: a retry gets it again, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import Reason, ReasonCode
from toolward.kernel.audit import Auditor
from toolward.model.call import Call, Reply, WireError
from toolward.model.event import EventKind
from toolward.ports.store import Store

NO_ANSWER: Final = -32000
"""JSON-RPC code where the first execution left none of its own."""


class Answered(Exception):
    """The call was answered before, so it leaves the corridor here: no refusal, and no second effect."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.call_id)
        self.reply = reply


class Kept:
    """Reads replies back out of the record."""

    def __init__(self, store: Store, auditor: Auditor) -> None:
        self._store = store
        self._auditor = auditor

    async def replay(self, call: Call, executed: str, *, tool: str, why: Mapping[str, Any]) -> Reply:
        """The reply to call `executed`, for `call`, once it is on record that it was handed out again.

        `why` names in the record what made the two one. Raises `AuditUnavailable`.
        """
        status, result, error = self._reply_to(executed)
        event = self._auditor.event(
            EventKind.CALL_REPLAYED,
            call_id=call.call_id,
            session_id=call.session.session_id,
            tool=tool,
            body={
                "principal": call.session.principal.as_json(),
                "target": call.target,
                "args_digest": call.args_digest,
                "of": executed,
                "status": status,
                "era": call.era.value,
                "door": call.door,
                **why,
            },
        )
        receipts = await self._store.commit([event])
        receipt = {**receipts[0].as_json(), "replayed": executed}
        return Reply(call_id=call.call_id, result=result, error=error, receipt=receipt)

    def _reply_to(self, executed: str) -> tuple[str, Mapping[str, Any] | None, WireError | None]:
        found = self._store.find(kind=EventKind.CALL_OUTCOME.value, call_id=executed, limit=1)
        if not found:
            return "unknown", None, _unknown("it is not known how the call ended")
        status = str(orjson.loads(found[0].body)["status"])
        if status == "unknown":
            return status, None, _unknown("the gateway stopped while the call ran: it may have happened")
        body = self._store.payload(found[0].index, "result")
        if body is None:
            return status, None, _unknown("the call ran, and its result was erased since")
        value = orjson.loads(body)
        if status in ("returned", "tool_error"):
            return status, value, None
        return status, None, WireError(code=value["code"], message=value["message"], data=value["data"])


def _unknown(text: str) -> WireError:
    reason = Reason(
        code=ReasonCode.UNKNOWN_OUTCOME, text=text, remedy="look at what is there before you try again"
    )
    return WireError(code=NO_ANSWER, message=reason.sentence(), data=reason.as_json())
