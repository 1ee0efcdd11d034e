"""Sessions with a declared objective, as their host conducts them: from step to step, to a judged end.

Who calls here is the authenticated host, never what a model wrote. Success is what the objective says it is,
judged by the record and by calls that only read; a failure is the occasion for `rollback.on: [failure]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from toolward.config.limits import SESSION_CALLS_COUNTED_MAX
from toolward.errors import ReasonCode as Code
from toolward.errors import Rejected
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.rollback.asking import Perform
from toolward.kernel.rollback.automatic import Automatic
from toolward.kernel.rollback.entries import RollbackRow
from toolward.kernel.sessions import Sessions
from toolward.kernel.upstream.events import LIST_CHANGED
from toolward.kernel.upstream.notices import Notices
from toolward.model.call import Action, Era
from toolward.model.event import EventKind
from toolward.model.objective import VERIFY, Verification
from toolward.model.principal import Principal
from toolward.model.session import Session
from toolward.ports.store import Store
from toolward.rules.objective import Seen, not_reached, unexpected
from toolward.rules.standing import Declared, Move, check_open, step_named


class Outcome(StrEnum):
    """How an objective ended."""

    REACHED = "reached"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended, what was missing in words, and the rollback that followed, if one did."""

    outcome: Outcome
    missing: tuple[str, ...] = ()
    rollback: RollbackRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """Moves sessions and ends them. Opening is the gateway's: `Gateway.open_session`."""

    perform: Perform
    sessions: Sessions
    store: Store
    notices: Notices
    automatic: Automatic
    revision: Callable[[], ActiveRevision]

    async def step(self, session_id: str, name: str, *, by: Principal) -> Session:
        """Move to a step of the objective; lists change with it.

        Raises `Rejected` for a session without a declared objective, `Denied` where it has ended, there is
        no such step, or the step is decision-critical and the objective not approved.
        """
        session, declared = self._under_way(session_id)
        revision = self.revision()
        if name == VERIFY:
            raise Rejected(
                f"`{VERIFY}` is where a session is finished", code=Code.UNKNOWN_STEP, remedy="finish it"
            )
        step = step_named(session.objective, name, revision.objectives, revision.channel)
        moved = await self.sessions.enter(session, Move(step.name, declared.composition.digest, by))
        self.notices.deliver("", session_id, LIST_CHANGED, {})
        return moved

    async def finish(self, session_id: str, *, by: Principal) -> Ended:
        """Judge whether the objective was reached, and end it: only tools that verify run from now on.

        Raises `Rejected` for a session without a declared objective, `Denied` where it has ended.
        """
        session, declared = self._under_way(session_id)
        move = Move(VERIFY, declared.composition.digest, by)
        session = await self.sessions.enter(session, move)
        unverified = [
            why
            for verification in declared.objective.success.verify
            if (why := await self._verified(session, verification))
        ]
        steps, tools = self._answered(session_id)
        missing = not_reached(declared.objective, Seen(steps, tools, unverified))
        if missing:
            return await self._failed(session, declared, missing, by=by)
        await self._end(session, declared, Outcome.REACHED, missing, by=by)
        return Ended(outcome=Outcome.REACHED)

    async def fail(self, session_id: str, why: str, *, by: Principal) -> Ended:
        """The objective failed, as the host says; it is rolled back where the ward says so.

        Raises `Rejected` where there is no such session, `Denied` where its objective has ended.
        """
        session = self._known(session_id)
        if not session.step:
            return Ended(outcome=Outcome.FAILED, rollback=await self.automatic.failed(session_id, why))
        check_open(session)
        declared = self.revision().objectives.get(session.objective)
        return await self._failed(session, declared, [why], by=by)

    # --- inside -----------------------------------------------------------------------------------

    def _known(self, session_id: str) -> Session:
        session = self.sessions.current(session_id)
        if session is None:
            raise Rejected("no such session", code=Code.UNKNOWN_SESSION, remedy="toolward sessions list")
        return session

    def _under_way(self, session_id: str) -> tuple[Session, Declared]:
        session = self._known(session_id)
        if not session.step:
            raise Rejected(
                "this session has no declared objective, so it has no steps",
                code=Code.UNKNOWN_STEP,
                remedy="open one for an objective of the ward: toolward objectives list",
            )
        check_open(session)
        revision = self.revision()
        _ = step_named(session.objective, VERIFY, revision.objectives, revision.channel)
        return session, revision.objectives[session.objective]

    async def _failed(
        self, session: Session, declared: Declared | None, missing: Iterable[str], *, by: Principal
    ) -> Ended:
        said = tuple(missing)
        await self._end(session, declared, Outcome.FAILED, said, by=by)
        row = await self.automatic.failed(session.session_id, "; ".join(said))
        return Ended(outcome=Outcome.FAILED, missing=said, rollback=row)

    async def _end(
        self,
        session: Session,
        declared: Declared | None,
        outcome: Outcome,
        missing: Iterable[str],
        *,
        by: Principal,
    ) -> None:
        current = self._known(session.session_id)
        check_open(current)  # another who ended it meanwhile was first
        said = {
            "composition": self._composition(session.session_id, declared),
            "channel": self.revision().channel.value,
            "missing": [each[:500] for each in missing],
            "by": by.as_json(),
        }
        await self.sessions.end(current, outcome.value, said)

    def _composition(self, session_id: str, declared: Declared | None) -> str:
        """What the objective was composed of all the time; "" if that changed: then it is no evidence."""
        found = {body["composition"] for body in self._records(EventKind.SESSION_STEP, session_id)}
        now = declared.composition.digest if declared is not None else ""
        return now if found == {now} else ""

    async def _verified(self, session: Session, verification: Verification) -> str:
        """Why a verifying call does not show what it should, in words; "" if it does."""
        server, _, name = verification.tool.partition("/")
        attempt = Attempt(
            principal=session.principal,
            session_id=session.session_id,
            action=Action.CALL_TOOL,
            params={"name": name, "arguments": verification.arguments},
            server=server,
            era=Era.STATELESS,
            door="objective",
        )
        reply = await self.perform(attempt, QuietExchange())
        if reply.result is None:
            said = reply.error.message if reply.error is not None else "no answer"
            return f"{verification.tool} could not verify it: {said}"
        return unexpected(verification, reply.result)

    def _answered(self, session_id: str) -> tuple[set[str], set[str]]:
        """Steps and tools in which a call was answered without an error, as the record has it."""
        intents = {body["call_id"]: body for body in self._records(EventKind.CALL_INTENT, session_id)}
        done = [
            intents.get(body["call_id"], body)
            for kind in (EventKind.CALL_OUTCOME, EventKind.CALL_MERGED)
            for body in self._records(kind, session_id)
            if body["status"] == "returned"
        ]
        called = [body for body in done if body["action"] == Action.CALL_TOOL]
        return {body["step"] for body in called}, {body["tool"] for body in called}

    def _records(self, kind: EventKind, session_id: str) -> list[dict[str, Any]]:
        found = self.store.find(kind=kind.value, session_id=session_id, limit=SESSION_CALLS_COUNTED_MAX)
        return [orjson.loads(record.body) for record in found]
