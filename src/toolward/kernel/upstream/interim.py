"""What a server says while a call runs: a model may read it too, so it is redacted and labelled too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from toolward.errors import AuditUnavailable, Denied, Overloaded, ReasonCode
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.settle import Settle
from toolward.model.call import Era
from toolward.model.label import UNKNOWN, Confidentiality
from toolward.model.permit import Permit
from toolward.model.tool import Manifest
from toolward.ports.upstream import Exchange
from toolward.rules.clearance import result_label
from toolward.rules.lineage.remember import index_waiting, remember_result
from toolward.rules.redact import redact

PROGRESS: Final = "notifications/progress"
UNINDEXED_MAX: Final = 16
"""Messages that may wait for the next call to put them into the index, some 0.1 ms each; further ones are put
there as they come, each in a turn of its own, so that what a flood said is never caught up with in one go."""


class Interim:
    """The caller's side of a call as the upstream gets it; `Exchange` as the port says."""

    def __init__(
        self, exchange: Exchange, permit: Permit, settle: Settle, clearance: Confidentiality
    ) -> None:
        """`clearance` is the caller's: what a server says beside its results is as confidential as those."""
        version = permit.labelled.resolved.version
        label = UNKNOWN.join(result_label(version.manifest if version is not None else None))
        self._withheld = label.confidentiality > clearance
        self._exchange = exchange
        self._permit = permit
        self._settle = settle

    @property
    def era(self) -> Era:
        """The caller's."""
        return self._exchange.era

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """The caller's."""
        return self._exchange.capabilities

    @property
    def patience_s(self) -> float:
        """The caller's."""
        return self._exchange.patience_s

    async def waits(self, approval: str, reason: str) -> None:
        """Tell the caller."""
        await self._exchange.waits(approval, reason)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Pass it on once what it says is on the session; drop it if that can not be made durable.

        Of what is above the caller's clearance only the progress itself is passed on.
        """
        if self._withheld:
            if method == PROGRESS:
                await self._exchange.notify(method, {k: v for k, v in params.items() if k != "message"})
            return
        params, _ = redact(params, self._settle.secrets.known_values())
        said = params.get("message") if method == PROGRESS else params
        if said:
            try:
                await self._taint(said)
            except (AuditUnavailable, Overloaded):
                return
        await self._exchange.notify(method, params)

    async def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the caller. Raises `Denied`."""
        if self._withheld:
            raise Denied(
                "what the server says is above this caller's clearance",
                code=ReasonCode.REQUEST_NOT_ACCEPTED,
                remedy="ask the operator to raise the agent's `clearance`",
            )
        params, _ = redact(params, self._settle.secrets.known_values())
        return await self._exchange.request(method, params)

    async def _taint(self, said: Any) -> None:
        call, version = self._permit.labelled.call, self._permit.labelled.resolved.version
        vouched = version.manifest.result if version else None
        sessions: Sessions = self._settle.sessions
        memory = sessions.memory(call.session.session_id)
        label = remember_result(
            memory,
            {"content": [said]},
            call_id=call.call_id,
            manifest=Manifest(result=UNKNOWN.join(vouched or UNKNOWN)),  # a manifest vouches for results only
            asked=self._permit.labelled,
        )
        if len(memory.waiting) >= UNINDEXED_MAX:
            index_waiting(memory)
        session, changed = sessions.tainted(
            sessions.current(call.session.session_id) or call.session, label, source=call.call_id
        )
        if changed:
            sessions.keep(session)
            await self._settle.store.commit([], [sessions.put(session)])
