"""Tools that undo needs: governed calls of a principal of their own, arguments from recorded data only."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from toolward.errors import GatewayError, InvariantBroken, ReasonCode, Rejected
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.rollback.rows import intent_index
from toolward.kernel.sessions import Sessions
from toolward.model.call import Action, Era, Reply
from toolward.model.event import EventKind
from toolward.model.principal import CredentialKind, Principal
from toolward.model.rollback import UNDO_AGENT
from toolward.model.session import SessionOrigin
from toolward.ports.store import Store
from toolward.ports.upstream import Exchange
from toolward.rules.recorded import happened as said_happened
from toolward.rules.recorded import text_of

Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]
_PASSING: Final = frozenset(
    {
        ReasonCode.TOOL_UNREACHABLE.value,
        ReasonCode.TOOL_FAILED.value,
        ReasonCode.OVERLOADED.value,
        ReasonCode.CONTESTED.value,
        ReasonCode.RESOURCE_CONFLICT.value,
        ReasonCode.SANDBOX_UNAVAILABLE.value,
    }
)


class Fate(StrEnum):
    """What became of a call of the undo principal."""

    DONE = "done"
    FAILED = "failed"  # it surely did not run, and the next try may succeed
    REFUSED = "refused"  # it did not run, and would not if it were tried again
    UNKNOWN = "unknown"  # it may have happened: an error of the tool's own says nothing of its effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool said."""

    fate: Fate
    result: Mapping[str, Any]
    call_id: str = ""
    text: str = ""
    said: bool = False  # the tool did answer, if only with an error


class UndoCalls:
    """Calls through the whole corridor. `perform` is the gateway's, set by `bootstrap` once there is one."""

    def __init__(self, sessions: Sessions, store: Store) -> None:
        self._sessions = sessions
        self._store = store
        self.perform: Perform | None = None

    async def __call__(
        self, session_id: str, undo_of: str, tool: str, arguments: Mapping[str, Any]
    ) -> Answer:
        """Call `server/name` for the session's user, as `toolward-undo`. Never raises for a refusal.

        Raises `AuditUnavailable` and the like when nothing can be recorded at all.
        """
        if self.perform is None:
            raise InvariantBroken("undo was asked for before the gateway stood")
        principal = undo_principal(self._sessions, session_id)
        own = await self._session(session_id, principal)
        server, _, name = tool.partition("/")
        attempt = Attempt(
            principal=principal,
            session_id=own,
            action=Action.CALL_TOOL,
            params={"name": name, "arguments": dict(arguments)},
            server=server,
            era=Era.STATELESS,
            door="undo",
            undo_of=undo_of,
        )
        reply = await self.perform(attempt, QuietExchange())
        return self._answer(reply)

    async def _session(self, session_id: str, principal: Principal) -> str:
        """One for each session that is undone."""
        own = f"undo-{session_id}"
        if self._sessions.current(own) is None:
            with contextlib.suppress(Rejected):  # another task was first
                await self._sessions.open(principal, SessionOrigin.HANDLE, session_id=own)
        return own

    def _answer(self, reply: Reply) -> Answer:
        """What the reply means. What ran is read from the log, never from the server's words."""
        if reply.result is not None:
            failed = reply.result.get("isError") is True
            return Answer(
                fate=Fate.UNKNOWN if failed else Fate.DONE,
                result=reply.result,
                call_id=reply.call_id,
                text=text_of(reply.result)[:500] if failed else "",
                said=True,
            )
        error = reply.error
        said = error.data if error is not None and isinstance(error.data, Mapping) else {}
        code, ran = str(said.get("code", ReasonCode.TOOL_FAILED.value)), False
        outcome = self._outcome(reply.call_id)
        if outcome is not None:
            code, ran = str(outcome.get("reason", code)), not outcome.get("never_ran")
        elif code == ReasonCode.AUDIT_UNAVAILABLE.value:
            raise GatewayError(
                "nothing can be recorded, so nothing is undone", code=ReasonCode.AUDIT_UNAVAILABLE
            )
        elif reply.call_id and intent_index(self._store, reply.call_id) >= 0:
            ran = True  # it was let out, and what became of it is not on record
        fate = Fate.UNKNOWN if ran else Fate.FAILED if code in _PASSING else Fate.REFUSED
        text = str(said.get("reason", error.message if error is not None else ""))
        said_no = ran and code == ReasonCode.TOOL_FAILED.value
        return Answer(fate=fate, result={}, call_id=reply.call_id, text=f"{code}: {text}", said=said_no)

    def _outcome(self, call_id: str) -> dict[str, Any] | None:
        for kind in (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED) if call_id else ():
            for record in self._store.find(kind=kind.value, call_id=call_id, limit=1):
                body: dict[str, Any] = orjson.loads(record.body)
                return body
        return None


def undo_principal(sessions: Sessions, session_id: str) -> Principal:
    """The session's user with the undo agent; no credential of the agent's has a part in it."""
    session = sessions.current(session_id)
    if session is None:
        raise Rejected("no such session", code=ReasonCode.UNKNOWN_SESSION, remedy="toolward sessions list")
    return Principal(
        user=session.principal.user,
        agent=UNDO_AGENT,
        roles=session.principal.roles,
        credential="undo",
        kind=CredentialKind.IN_PROCESS,
    )


def happened(answer: Answer) -> bool | None:
    """What a probe says; see `rules.recorded.happened`."""
    return said_happened(answer.result) if answer.fate is Fate.DONE else None
