"""Rollback: a plan computed once, its hash on record before the first undo, one of three ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, Final

from toolward.errors import Contested, Denied, ReasonCode, Rejected
from toolward.kernel.audit import Auditor
from toolward.kernel.rollback.asking import UndoCalls
from toolward.kernel.rollback.entries import (
    OVER,
    RollbackRow,
    check_no_doubt,
    check_whole,
    fence,
    found_before,
    new_entry,
    place_of,
    residuals_of,
    rows_of_rollbacks,
    stuck_entry,
)
from toolward.kernel.rollback.history import effects_of
from toolward.kernel.rollback.journal import Journal
from toolward.kernel.rollback.left import look_at_left
from toolward.kernel.rollback.rows import (
    effect_of,
    put_effect,
    read_effect,
    rows_of,
)
from toolward.kernel.rollback.undoing import Stuck, Undoing, Work
from toolward.kernel.rollback.writing import commit_patiently
from toolward.kernel.safeguards.safeguards import Settling
from toolward.kernel.sessions import Sessions
from toolward.kernel.tasks import Background
from toolward.model.event import Event, EventKind
from toolward.model.principal import Principal
from toolward.model.rollback import Plan, RollbackState, Step, StepState, Way, plan_from_json
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.images import Images
from toolward.ports.store import Change, Conflict, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.resources import overlap
from toolward.rules.rollback import end_state, plan_hash, plan_rollback, step_key

QUIET_WAIT_S: Final = 60.0
"""How long calls in flight are waited for before a session is rolled back."""
QUIET_LOOK_S: Final = 0.05
PEOPLE_TO_ACCEPT: Final = 2


class Rollbacks:
    """All rollbacks of a ward. The store holds where each stands, so that the next process can go on."""

    def __init__(  # noqa: PLR0913 -- what it is made of
        self,
        store: Store,
        auditor: Auditor,
        sessions: Sessions,
        journal: Journal,
        undoing: Undoing,
        *,
        clock: Clock,
        ids: Ids,
        background: Background,
        settling: Settling,
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._sessions = sessions
        self._journal = journal
        self._undoing = undoing
        self._clock = clock
        self._ids = ids
        self._background = background
        self._settling = settling
        self._live: set[str] = set()  # sessions whose rollback goes on in this process

    @property
    def ask(self) -> UndoCalls:
        """How tools are called that undo."""
        return self._undoing.ask

    @property
    def images(self) -> Images | None:
        """Where paths are looked at and put back."""
        return self._undoing.images

    # --- what people and programs ask for

    def plan(self, session_id: str, to: str = "") -> Plan:
        """What `run` would do now. `to` is a savepoint's name or a call, which is undone too; '' is all.

        Raises `Rejected` for a session, a savepoint or a call that is not known.
        """
        after = self._after(session_id, to)
        mine = effects_of(self._store, session_id)
        touched = [resource for effect in mine for resource in effect.resources]
        others = [
            effect_of(self._store, row)
            for row, _ in rows_of(self._store)
            if row["session_id"] != session_id and overlap(row["resources"], touched)
        ]
        return plan_rollback(session_id, [*mine, *others], after=after, to=to, now_ns=self._clock.now_ns())

    async def run(
        self,
        session_id: str,
        *,
        by: Principal,
        to: str = "",
        why: str = "",
        all_or_nothing: bool = False,
    ) -> RollbackRow:
        """Roll back, and return how it ended. Calls of the session are refused meanwhile.

        Raises `Rejected` as `plan`, and while another rollback of the session runs or its calls do not end;
        `Denied` with `all_or_nothing` when something would stay, nothing having been undone.
        """
        _ = self._after(session_id, to)
        fenced = self._journal.fences.sessions
        if session_id in fenced:
            raise Rejected(
                "this session is being rolled back already",
                code=ReasonCode.IN_PROGRESS,
                remedy=f"toolward sessions show {session_id}",
            )
        check_no_doubt(self._store, session_id)
        fenced.add(session_id)
        try:
            await self._quiet(session_id)
            plan = self.plan(session_id, to)
            if all_or_nothing:
                check_whole(plan)
            await self._settling.begins(session_id, self._after(session_id, to), by)
        except BaseException:
            fenced.discard(session_id)
            raise
        # whoever asked may go away: what was begun goes on
        return await asyncio.shield(self._start(session_id, self._carry_out(plan, by, why)))

    async def retry(self, rollback_id: str, *, by: Principal) -> RollbackRow:
        """Try what is stuck again, or go on with what broke off, with the same plan.

        Raises `Rejected` if there is nothing of that; `Contested` if somebody else was first.
        """
        row, version = stuck_entry(self._store, rollback_id, running=True)
        session_id, fenced = row["session_id"], self._journal.fences.sessions
        stuck = row["state"] == RollbackState.NEEDS_HUMAN.value
        if session_id in self._live or (stuck and session_id in fenced):
            raise Rejected("this session is being rolled back already", code=ReasonCode.IN_PROGRESS)
        fenced.add(session_id)
        for step in row["steps"].values():
            if step["state"] not in OVER:
                step["state"] = StepState.WAITING.value
        row["state"] = RollbackState.RUNNING.value
        return await asyncio.shield(self._start(session_id, self._again(row, by, version, stuck=stuck)))

    async def accept(self, rollback_id: str, call_id: str, *, reason: str, by: Principal) -> RollbackRow:
        """Let an effect stay. Two people have to say so, each with a reason; raises `Rejected` otherwise."""
        row, version = stuck_entry(self._store, rollback_id)
        if row["session_id"] in self._journal.fences.sessions:
            raise Rejected("this session is being rolled back now", code=ReasonCode.IN_PROGRESS)
        step = row["steps"].get(call_id)
        if step is None or step["state"] in OVER:
            remedy = f"toolward sessions show {row['session_id']}"
            raise Rejected(f"`{call_id[:100]}` is no stuck step", remedy=remedy)
        if not reason.strip():
            raise Rejected("an effect that stays needs a reason", remedy="give one with --reason")
        if any(said["by"] == by.user for said in step["accepted"]):
            raise Rejected(
                "you agreed already, and a second person has to", remedy="have somebody else accept it too"
            )
        step["accepted"].append({"by": by.user, "reason": reason})
        if len(step["accepted"]) >= PEOPLE_TO_ACCEPT:
            step["state"] = StepState.ACCEPTED.value
        body = {"by": by.as_json(), "reason": reason}
        events = [self._said(row, call_id, "accepted", body)]
        if step["state"] == StepState.ACCEPTED.value:
            events.append(self._ended(row))
        await self._commit(row, *events, expect=version)
        fence(self._journal.fences, row)
        await self._let_go(row)
        return row

    def rows(self, session_id: str = "") -> Iterator[RollbackRow]:
        """Every rollback, or those of one session, oldest first."""
        yield from rows_of_rollbacks(self._store, session_id)

    # --- after a start

    async def after_recovery(self) -> None:
        """Fence what is stuck, and look how calls that a crash cut off left their paths, before any other."""
        for row in self.rows():
            if row["state"] == RollbackState.RUNNING.value:
                self._journal.fences.sessions.add(row["session_id"])
            elif row["state"] == RollbackState.NEEDS_HUMAN.value:
                fence(self._journal.fences, row)
        await look_at_left(self._journal, self._store, self._auditor)

    def resume(self) -> None:
        """Go on with what a crash cut off, each with the plan that it began with."""
        for row in [each for each in self.rows() if each["state"] == RollbackState.RUNNING.value]:
            _ = self._start(row["session_id"], self._go_on(row))

    # --- the run

    async def _carry_out(self, plan: Plan, by: Principal, why: str) -> RollbackRow:
        try:
            row = await self._begin(plan, by=by, why=why)
        except BaseException:
            self._journal.fences.sessions.discard(plan.session_id)
            raise
        return await self._go_on(row)

    def _start(self, session_id: str, work: Coroutine[Any, Any, RollbackRow]) -> asyncio.Task[RollbackRow]:
        """`_live` tells what goes on here from what broke off and waits, fenced, for a retry."""
        self._live.add(session_id)
        task = self._background.start(work)
        task.add_done_callback(lambda _: self._live.discard(session_id))
        return task

    async def _again(self, row: RollbackRow, by: Principal, version: int, *, stuck: bool) -> RollbackRow:
        try:
            await self._commit(row, self._said(row, "", "retried", {"by": by.as_json()}), expect=version)
        except BaseException:
            if stuck:
                self._journal.fences.sessions.discard(row["session_id"])
            raise
        return await self._go_on(row)

    async def _begin(self, plan: Plan, *, by: Principal, why: str) -> RollbackRow:
        digest = plan_hash(plan)
        row = new_entry(plan, digest, by=by, why=why)
        row |= {"rollback_id": self._ids.new(), "began_ns": str(self._clock.now_ns())}
        event = self._auditor.event(
            EventKind.ROLLBACK_PLANNED,
            session_id=plan.session_id,
            body={
                "rollback_id": row["rollback_id"],
                "plan_hash": digest,
                "to": plan.to,
                "steps": len(plan.steps),
                "residuals": len(plan.residuals),
                "by": by.as_json(),
                "why": why,
            },
            payloads={"plan": canonical(plan.as_json())},
        )
        await self._commit(row, event)
        return row

    async def _go_on(self, row: RollbackRow) -> RollbackRow:
        """Every step that is not over, in order. What breaks the store leaves the row to the next process."""
        plan = plan_from_json(row["plan"])
        for step in plan.steps:
            mine = row["steps"][step.call_id]
            if mine["state"] in OVER:
                continue
            waits = [each for each in step.after if row["steps"][each]["state"] != StepState.DONE.value]
            if waits:
                mine |= {"state": StepState.FROZEN.value, "note": f"call {waits[0]} has to be undone first"}
                await self._commit(row, self._said(row, step.call_id, StepState.FROZEN.value))
                continue
            await self._step(row, step)
        ended = self._ended(row)
        fence(self._journal.fences, row)
        await self._commit(row, ended)
        try:
            await self._let_go(row)  # while it is fenced: what it does afterwards is new work
        finally:
            self._journal.fences.sessions.discard(row["session_id"])
        return row

    async def _let_go(self, row: RollbackRow) -> None:
        """A rollback of the whole settles the session; what is stuck in it is fenced."""
        if not row["to"]:
            await self._settling.ended(row["session_id"])

    async def _step(self, row: RollbackRow, step: Step) -> None:
        mine = row["steps"][step.call_id]
        effect = read_effect(self._store, row["session_id"], step.call_id)
        key = step_key(step.call_id, row["plan_hash"])
        work: Work | None = None
        changes: list[Change] = []

        async def begin(payloads: Mapping[str, bytes]) -> None:
            other = work is not None and work.other
            mine.update(state=StepState.BEGUN.value, begun=True, other=other, tries=mine["tries"] + 1)
            event = self._said(row, step.call_id, StepState.BEGUN.value, {"key": key}, payloads)
            await self._commit(row, event)

        try:
            await self._turn(step)
            work = self._undoing.prepare(step, key, effect or {}, begin)
            work.begun, work.other = mine["begun"], mine.get("other", False)
            if step.way is Way.RESTORE and work.begun:
                work.found = found_before(self._store, row["rollback_id"], step.call_id)
            note = await self._undoing(work)
        except Stuck as stuck:
            mine |= {"state": StepState.STUCK.value, "note": str(stuck)}
            if work is not None:  # what surely did not happen is tried afresh the next time
                mine |= {"begun": work.begun, "other": work.other}
        else:
            mine |= {"state": StepState.DONE.value, "note": note}
            changes = [put_effect({**work.row, "undone": row["rollback_id"]})]
        finally:
            self._journal.turns.leave(f"undo {step.call_id}")
        body = {"key": key, "note": mine["note"]}
        await self._commit(row, self._said(row, step.call_id, mine["state"], body), changes=changes)

    async def _turn(self, step: Step) -> None:
        """Raises `Stuck` when another call is at work on the same for too long."""
        try:
            await self._journal.turns.take(f"undo {step.call_id}", step.resources)
        except Denied as busy:
            raise Stuck(busy.reason.text) from busy

    def _ended(self, row: RollbackRow) -> Event:
        """Settle the state, and say what is left."""
        plan = plan_from_json(row["plan"])
        state = end_state(plan, [StepState(row["steps"][step.call_id]["state"]) for step in plan.steps])
        row |= {"state": state.value, "residuals": residuals_of(row), "ended_ns": str(self._clock.now_ns())}
        body = {key: row[key] for key in ("rollback_id", "plan_hash", "state", "residuals")}
        return self._auditor.event(EventKind.ROLLBACK_ENDED, session_id=row["session_id"], body=body)

    def _said(
        self,
        row: RollbackRow,
        call_id: str,
        state: str,
        body: Mapping[str, Any] | None = None,
        payloads: Mapping[str, bytes] | None = None,
    ) -> Event:
        return self._auditor.event(
            EventKind.ROLLBACK_STEP,
            call_id=call_id,
            session_id=row["session_id"],
            body={"rollback_id": row["rollback_id"], "state": state, **(body or {})},
            payloads=payloads,
        )

    async def _commit(
        self, row: RollbackRow, *events: Event, changes: list[Change] | None = None, expect: int | None = None
    ) -> None:
        """Waits while the log's queue is full. Raises `Contested` where the row has another version."""
        put = Put(Table.ROLLBACK, row["rollback_id"], canonical(row), expect=expect)
        try:
            await commit_patiently(self._store, events, [put, *(changes or [])])
        except Conflict as conflict:
            raise Contested(
                "somebody else decided about this rollback at this moment", remedy="look at it, and try again"
            ) from conflict

    # --- finding things

    def _after(self, session_id: str, to: str) -> int:
        """The place in the log after which effects are undone."""
        session = self._sessions.current(session_id)
        if session is None:
            raise Rejected(
                f"no session `{session_id[:100]}`",
                code=ReasonCode.UNKNOWN_SESSION,
                remedy="toolward sessions list",
            )
        sealed = self._settling.accepted(session_id)
        if not to:
            return sealed
        after = place_of(self._store, session, to)
        if after < sealed:
            raise Rejected(
                f"`{to[:100]}` lies before the seal of this session: its work was accepted there",
                code=ReasonCode.NOT_UNDOABLE,
                remedy="roll back what came after the seal",
            )
        return after

    async def _quiet(self, session_id: str) -> None:
        """Wait until what the session has on its way has ended."""
        until = self._clock.monotonic_ns() + int(QUIET_WAIT_S * 1_000_000_000)
        await self._store.commit([])  # intents that were on their way when it was fenced are rows after it
        while self._journal.is_busy(session_id):
            if self._clock.monotonic_ns() > until:
                raise Rejected(
                    "calls of this session are still on their way",
                    code=ReasonCode.IN_PROGRESS,
                    remedy="stop the agent, and try again",
                )
            await self._clock.sleep(QUIET_LOOK_S)
