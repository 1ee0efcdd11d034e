"""Rollback without anybody asking for it: on the occasions that the ward names, or that a hook picks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import orjson
from typing_extensions import override

from toolward.errors import ReasonCode, ToolwardError
from toolward.kernel.rollback.asking import undo_principal
from toolward.kernel.rollback.engine import Rollbacks
from toolward.kernel.rollback.entries import RollbackRow
from toolward.kernel.rollback.rows import is_undoable, rows_of, without_row
from toolward.kernel.sessions import Sessions
from toolward.kernel.tasks import Background
from toolward.model.event import EventKind
from toolward.model.incident import Incident, IncidentKind
from toolward.model.rollback import EffectStatus, Occasion
from toolward.ports.hooks import RollbackHook
from toolward.ports.store import Store

_INTENTS_MAX: Final = 100_000
"""Of one tool, looked at for the sessions that it wrote in; the newest come first."""


@dataclass(frozen=True, slots=True)
class NamedOccasions(RollbackHook):
    """The hook of a ward without one of its own: what a policy orders, and `rollback.on`; whole sessions."""

    on: Callable[[], Collection[str]]

    @override
    async def __call__(self, occasion: Occasion, session_id: str, why: str) -> str | None:
        """The whole session if the ward names the occasion."""
        del session_id, why
        return "" if occasion is Occasion.POLICY or occasion.value in self.on() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """Brings the occasions to the hook, and its word to the engine."""

    rollbacks: Rollbacks
    sessions: Sessions
    store: Store
    hook: RollbackHook
    background: Background

    async def failed(self, session_id: str, why: str) -> RollbackRow | None:
        """The session's objective failed, as its host says; how the rollback ended, or None without one."""
        return await self._at(Occasion.FAILURE, session_id, why)

    def incident(self, incident: Incident) -> None:
        """A tool was quarantined: sessions that run and wrote with it are looked at, in the background."""
        if incident.kind is IncidentKind.QUARANTINE:
            _ = self.background.start(self._after(incident))

    def ordered(self, session_id: str, why: str) -> None:
        """A rule denied a call of the session and says that its work is taken back; in the background."""
        _ = self.background.start(self._ordered(session_id, why))

    async def _ordered(self, session_id: str, why: str) -> None:
        """Once for all calls that are denied until it has ended, and only while something can be undone."""
        if not any(is_undoable(row) for row, _ in rows_of(self.store, session_id)):
            return  # a plan reads much more, and an agent that is denied may try again and again
        try:
            if self.rollbacks.plan(session_id).steps:
                _ = await self._at(Occasion.POLICY, session_id, why)
        except ToolwardError as error:
            if error.reason.code is not ReasonCode.IN_PROGRESS:
                self.background.tell(error)

    async def _after(self, incident: Incident) -> None:
        """What breaks for one session leaves the others their rollback, and is reported."""
        for session_id in sorted(self._wrote(incident.subject)):
            try:
                _ = await self._at(Occasion.INCIDENT, session_id, incident.text)
            except ToolwardError as error:
                self.background.tell(error)

    def _wrote(self, tool: str) -> set[str]:
        """Sessions that run and in which something stands that this tool did, if it can be undone or not."""
        rows = [row for row, _ in rows_of(self.store)]
        intents = self.store.find(kind=EventKind.CALL_INTENT.value, tool=tool, limit=_INTENTS_MAX)
        for session_id in {str(orjson.loads(record.body)["session_id"]) for record in intents}:
            if self.sessions.is_live(session_id):
                rows += without_row(self.store, session_id)
        return {
            row["session_id"]
            for row in rows
            if row["tool"] == tool
            and not row["undone"]
            and row["status"] != EffectStatus.FAILED.value
            and self.sessions.is_live(row["session_id"])
        }

    async def _at(self, occasion: Occasion, session_id: str, why: str) -> RollbackRow | None:
        to = await self.hook(occasion, session_id, why)
        if to is None:
            return None
        by = undo_principal(self.sessions, session_id)
        return await self.rollbacks.run(session_id, by=by, to=to, why=f"{occasion.value}: {why}")
