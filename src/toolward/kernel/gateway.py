"""The one path. Every call, from every door, walks through `Gateway.perform` and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from toolward.errors import CircuitOpen, Reason, ReasonCode, Rejected, ToolwardError, UnknownTool
from toolward.kernel.again import again
from toolward.kernel.attempt import Attempt
from toolward.kernel.directory import EVERYWHERE, Directory
from toolward.kernel.face.metatools import meant
from toolward.kernel.parts import Parts
from toolward.kernel.refusal import Refuse
from toolward.kernel.registry.drift import DriftWatch
from toolward.kernel.replay import Answered
from toolward.kernel.resilience.pressure import watch_lag
from toolward.kernel.resilience.standing_in import StandingIn
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.room import Room
from toolward.kernel.running import INTERRUPTED, NEVER_RAN, NOT_BEGUN, Running
from toolward.kernel.safeguards.safeguards import Safeguards
from toolward.kernel.sign_ins import SignIns
from toolward.kernel.stages.decide import decide
from toolward.kernel.stages.intend import UnderWay
from toolward.kernel.suspended import suspended_principal
from toolward.kernel.tasks import Background
from toolward.kernel.turn import TURN
from toolward.kernel.upstream.interim import Interim
from toolward.kernel.upstream.notices import Notices
from toolward.model.approval import ApprovalState
from toolward.model.call import Call, Intent, RawOutcome, Reply, Returned, Stopped
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.model.session import Savepoint, Session, SessionOrigin
from toolward.model.tool import SEPARATOR, ToolVersion
from toolward.ports.upstream import Exchange, ServerDescription
from toolward.rules.output import held_to_schema
from toolward.rules.standing import first_move


class Gateway:
    """The corridor, whole.

    1. admit      bytes were parsed once by the door; the call is frozen and hashed
    2. resolve    the exact pinned version; arguments fit its schema
    3. label      where each argument came from
    4. decide     Allow, Deny or Ask
    5. authorize  only an Allow becomes a permit; an Ask, once people agreed
    6. intend     the promise is durable before any effect
    7. execute    with permit and intent, in the sandbox or upstream
    8. settle     outcome and new taint durable in one commit, then the reply leaves

    Whatever fails on the way is a refusal: recorded, coded, answered.
    """

    def __init__(
        self, parts: Parts, *, revision: Callable[[], ActiveRevision], background: Background
    ) -> None:
        self._parts = parts
        self._revision = revision
        self._background = background
        self._refuse = Refuse(parts.store, parts.auditor)
        self._directory = Directory(lambda: revision().declared(), parts.drift)
        self._sign_ins = SignIns(parts.store, parts.auditor, clock=parts.settle.clock)
        self._room = Room()
        self._standing_in = StandingIn(parts.registry, parts.sessions, revision)
        self._running = Running()
        self.notices: Notices = parts.notices
        self.safeguards: Safeguards = parts.safeguards

    async def perform(self, attempt: Attempt, exchange: Exchange) -> Reply:
        """Walk the corridor. Never raises for a refusal: the reply carries its code, reason and remedy."""
        if not attempt.server and attempt.action in EVERYWHERE:
            try:
                return await self._directory.perform(attempt, exchange, self.perform)
            except ToolwardError as refusal:
                return await self._refuse(attempt, None, refusal, self._revision())
        call: Call | None = None
        caller = attempt.principal.credential
        try:
            attempt = meant(attempt, self._revision().face(attempt.principal.agent))
            self._room.take(caller, reserved=bool(attempt.undo_of or attempt.released))
            try:
                session = self._parts.sessions.find(attempt.session_id, attempt.principal)
                call = self._parts.admit(attempt, session)  # 1
                await self._parts.honeytokens.check(call)
                return await again(self._decided, call, exchange, self._parts.approvals)
            finally:
                self._room.leave(caller)
        except Answered as answered:
            return answered.reply
        except ToolwardError as refusal:
            return await self._refused(attempt, call, refusal, exchange)

    async def _decided(self, call: Call, exchange: Exchange) -> Reply:
        """Steps 2 to 5 under the revision of now, then the rest. Whatever was suspended re-enters here."""
        if (answer := await self._parts.intend.clauses.answer(call)) is not None:
            return answer
        await TURN
        revision = self._revision()
        resolved = await self._parts.resolve(call, revision)  # 2
        await TURN
        labelled = self._parts.label(resolved, revision)  # 3
        decision = decide(labelled, revision)  # 4
        permit = await self._parts.authorize(labelled, decision, revision)  # 5
        self._parts.resilience.check_room(permit)  # before anything is counted or promised
        self._parts.sessions.let_through(permit)
        try:
            return await self._walk(permit, exchange, revision)  # 6, 7, 8
        finally:
            self._parts.sessions.answered(permit)

    async def _walk(self, permit: Permit, exchange: Exchange, revision: ActiveRevision) -> Reply:
        """Steps 6 to 8. A caller that hangs up stops the tool, never the record."""
        await TURN
        try:
            intent = await self._parts.intend(permit, revision)  # 6
        except UnderWay:
            _ = self._background.start(self._called_off(permit, revision))
            raise
        watching = self._parts.canaries.watch(permit, revision)
        outcome = await self._tried(permit, intent, exchange, revision)  # 7
        if watching is not None:
            watching(outcome)
        outcome = self._parts.hints(permit, self._parts.requests.review(permit, outcome))
        outcome = held_to_schema(permit.labelled.resolved.version, outcome)
        reply = await self._parts.settle(permit, intent, outcome, revision=revision)  # 8
        resolved = permit.labelled.resolved
        if not resolved.call.copy_of:
            self._parts.watching.results.saw(permit, outcome)
            self._parts.shadows.after(resolved.call, resolved.version, reply, revision, self._decided)
        if (
            type(outcome) is not Returned
            and (task := asyncio.current_task()) is not None
            and task.cancelling()
        ):
            raise asyncio.CancelledError  # execute made an outcome of it; whoever cancelled is told now
        return reply

    # --- sessions and what the doors ask about ----------------------------------------------------

    async def open_session(self, principal: Principal, origin: SessionOrigin, **opening: Any) -> Session:
        """A new session; `opening` may hold session_id, objective, prompt, and `by`, the host that opens it.

        See `Sessions.open`.
        Raises `Rejected` for the name of an objective that the ward does not declare, `Denied` for one that
        is not approved.
        """
        revision = self._revision()
        by = opening.pop("by", principal)
        objective = opening.get("objective", "")
        first = first_move(objective, revision.objectives, revision.channel, by=by)
        return await self._parts.sessions.open(principal, origin, first=first, **opening)

    async def idle_session(self, principal: Principal, client_instance: str) -> Session:
        """The session of (credential, client instance), until it was idle for 30 minutes."""
        return await self._parts.sessions.idle(principal, client_instance)

    def session(self, session_id: str, principal: Principal) -> Session:
        """Raises `Rejected` if there is none or it is somebody else's."""
        return self._parts.sessions.find(session_id, principal)

    async def savepoint(self, session_id: str, principal: Principal, name: str) -> Savepoint:
        """A named place in the session's history. Only the host names one, never the model's text."""
        return await self._parts.sessions.savepoint(self.session(session_id, principal), name)

    async def answered(self, approval_id: str, principal: Principal, patience_s: float) -> ApprovalState:
        """Where an approval that this caller asked for stands, once it was answered or so long has passed.

        Raises `Rejected` without telling somebody else's from none.
        """
        ground = self._parts.approvals.ground
        found = ground.find(approval_id)
        if found is None or suspended_principal(found.approval.call) != principal:
            raise Rejected("no such approval for this caller", remedy="make the call, which asks")
        await self._parts.approvals.answered(approval_id, patience_s)
        return ground.state(ground.found(approval_id).approval)

    async def close_session(self, session_id: str) -> None:
        """End what runs for this session only; its record stays."""
        self.notices.detach(session_id)
        await self._parts.safeguards.frontiers.leave(session_id)
        self._parts.sessions.forget(session_id)
        await self._parts.upstreams.close_session(session_id)

    async def describe(self, server: str) -> ServerDescription:
        """What a server says of itself, or "" for all together; never its `instructions`.

        Raises `UnknownTool`, `ToolFailed`.
        """
        revision = self._revision()
        if not server:
            return self._parts.drift_union(revision)
        if revision.binding(server) is None:
            raise UnknownTool(f"no server `{server[:100]}`", remedy="see the list of servers")
        drift: DriftWatch = self._parts.drift
        if drift.description(server) is None:
            await drift.refresh(server, unless=lambda: drift.description(server) is not None)
        found = drift.description(server)
        if found is None:
            raise UnknownTool(f"no server `{server[:100]}`", remedy="see the list of servers")
        # a server's instructions go straight into a model's own, and no pin holds them: they stay here
        return replace(found, instructions="")

    def tool_version(self, server: str, name: str, principal: Principal) -> ToolVersion | None:
        """What that caller is served now under a name of that endpoint, or None."""
        if not server:
            server, _, name = name.partition(SEPARATOR)
        channel = self._revision().channel_of(principal.agent)
        served = self._parts.registry.served(f"{server}/{name}", channel)
        return served[1] if served else None

    async def record_sign_in_failure(self, reason: Reason, door: str) -> None:
        """A sign-in that failed is written down; if that fails too, the caller is refused all the same."""
        await self._sign_ins.failed(reason, door)

    async def record_unreadable(
        self, principal: Principal, reason: Reason, *, server: str, door: str
    ) -> None:
        """A request that a door refused before it became a call is a refusal like any other.

        Raises `AuditUnavailable`.
        """
        await self._refuse.unreadable(principal, reason, where=(server, door), revision=self._revision())

    def interrupt(self) -> None:
        """Before a stop: calls that wait for their tools are settled as unknown and answered; none begins."""
        self._running.interrupt()

    async def _refused(
        self, attempt: Attempt, call: Call | None, refusal: ToolwardError, exchange: Exchange
    ) -> Reply:
        """The recorded refusal, or the reply of a declared fallback, which is a call of its own."""
        reply = await self._refuse(attempt, call, refusal, self._revision())
        if isinstance(refusal, CircuitOpen):
            return await self._standing_in(attempt, (refusal, reply), exchange, self.perform)
        return reply

    async def _tried(
        self, permit: Permit, intent: Intent, exchange: Exchange, revision: ActiveRevision
    ) -> RawOutcome:
        """Step 7, and an outcome even where a bug broke it: what may have happened is never left open."""
        if self._running.closed:
            return NOT_BEGUN
        try:
            clearance = revision.clearance_of(permit.labelled.call.session.principal.agent)
            interim = Interim(exchange, permit, self._parts.settle, clearance)
            waiting = self._running.begin()
            try:
                outcome = await self._parts.execute(permit, intent, interim, revision=revision)
            finally:
                interrupted = self._running.end(waiting)
            return INTERRUPTED if interrupted and type(outcome) is Stopped else outcome
        except Exception as bug:  # noqa: BLE001 -- the edge to adapters; the bug is reported, not swallowed
            self._background.tell(bug)
            return Stopped(
                reason=ReasonCode.UNKNOWN_OUTCOME.value,
                message="the gateway failed while the tool was running",
            )

    async def _called_off(self, permit: Permit, revision: ActiveRevision) -> None:
        """The caller left while the intent was being written. If it was, that nothing ran follows it."""
        made = False
        try:
            made = await self._parts.intend.was_made(permit)
        finally:
            if not made:
                self._parts.intend.clauses.lapse(permit)
        if made:
            intent = Intent(call_id=permit.labelled.call.call_id, log_index=-1, merged=False)
            _ = await self._parts.settle(permit, intent, NEVER_RAN, revision=revision)

    async def shed_load(self) -> None:
        """Take on fewer calls while the loop is late, for as long as the task lives; undo is always taken."""
        resilience = self._parts.resilience
        await watch_lag(
            self._parts.settle.clock,
            lambda: resilience.settings.lag_max_ms,
            lambda late: self._room.adapt(late=late),
        )

    async def drain(self) -> None:
        """Wait until no call is on its way."""
        await self._room.empty()

    def health(self) -> Reason | None:
        """None when calls can be served, else why not."""
        text = self._parts.store.healthy()
        if not text:
            return None
        return Reason(
            code=ReasonCode.AUDIT_UNAVAILABLE, text=text, remedy="mend the disk and restart toolward"
        )
