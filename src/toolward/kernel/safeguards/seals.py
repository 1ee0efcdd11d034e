"""Sealing: a session's work so far is accepted. What it held goes out, what it took is let go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from toolward.errors import Contested, GatewayError, ReasonCode, Rejected
from toolward.kernel.audit import Auditor
from toolward.kernel.safeguards.frontiers import Frontiers
from toolward.kernel.safeguards.releases import Releases
from toolward.kernel.sessions import Sessions
from toolward.model.event import EventKind
from toolward.model.principal import Principal
from toolward.ports.store import Conflict, Store

_TRIES_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Seals:
    """One commit for all of it, so that no crash leaves a session half accepted."""

    store: Store
    auditor: Auditor
    sessions: Sessions
    frontiers: Frontiers
    releases: Releases

    async def __call__(self, session_id: str, *, by: Principal) -> dict[str, Any]:
        """Seal it, and ask for what it held; the session may go on with new work.

        Raises `Rejected` for a session that is not there, `GatewayError` (`in_progress`) while its calls
        run, `AuditUnavailable`.
        """
        if self.sessions.current(session_id) is None:
            raise Rejected("no such session", code=ReasonCode.UNKNOWN_SESSION)
        with self.frontiers.settles(session_id):
            self._check_quiet(session_id)
            index, held = await self._sealed(session_id, by)
        return {"session": session_id, "sealed_index": index, "released": await self.releases.go(held)}

    async def _sealed(self, session_id: str, by: Principal) -> tuple[int, list[str]]:
        """The index of the record, and what is due now."""
        for _ in range(_TRIES_MAX):
            ended, puts, held = self.releases.sealing(session_id, by=by)
            event = self.auditor.event(
                EventKind.SESSION_SEALED,
                session_id=session_id,
                body={
                    "by": by.as_json(),
                    "released": held,
                    "resources": sorted(self.frontiers.held_by(session_id)),
                },
            )
            try:
                receipts = await self.store.commit(
                    [event, *ended], [*puts, *self.frontiers.settling(session_id)]
                )
            except Conflict:
                continue
            return receipts[0].index, held
        raise Contested("the session is being used while it is sealed", remedy="try again")

    def sealed_index(self, session_id: str) -> int:
        """The record of its newest seal: what the session did before it is accepted. -1 for none."""
        found = self.store.find(kind=EventKind.SESSION_SEALED.value, session_id=session_id, limit=1)
        return found[0].index if found else -1

    def _check_quiet(self, session_id: str) -> None:
        if any(each.session_id == session_id for each in self.store.open_calls()):
            raise GatewayError(
                "a call of this session is still running",
                code=ReasonCode.IN_PROGRESS,
                remedy="seal it when its calls have ended",
                details=(("retry_after_s", "5"),),
            )
