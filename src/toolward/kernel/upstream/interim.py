"""What a server says while a call runs: a model may read it too, so it is redacted and labelled too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolward.errors import AuditUnavailable, Overloaded
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.settle import Settle
from toolward.model.call import Era
from toolward.model.label import UNKNOWN
from toolward.model.permit import Permit
from toolward.model.tool import Manifest
from toolward.ports.upstream import Exchange
from toolward.rules.lineage.remember import remember_result
from toolward.rules.redact import redact

PROGRESS = "notifications/progress"


class Interim:
    """The caller's side of a call as the upstream gets it; `Exchange` as the port says."""

    def __init__(self, exchange: Exchange, permit: Permit, settle: Settle) -> None:
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
        """Pass it on once what it says is on the session; drop it if that can not be made durable."""
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
        params, _ = redact(params, self._settle.secrets.known_values())
        return await self._exchange.request(method, params)

    async def _taint(self, said: Any) -> None:
        call, version = self._permit.labelled.call, self._permit.labelled.resolved.version
        vouched = version.manifest.result if version else None
        sessions: Sessions = self._settle.sessions
        label = remember_result(
            sessions.memory(call.session.session_id),
            {"content": [said]},
            call_id=call.call_id,
            manifest=Manifest(result=UNKNOWN.join(vouched or UNKNOWN)),  # a manifest vouches for results only
            asked=self._permit.labelled,
        )
        session, changed = sessions.tainted(
            sessions.current(call.session.session_id) or call.session, label, source=call.call_id
        )
        if changed:
            sessions.keep(session)
            await self._settle.store.commit([], [sessions.put(session)])
