"""Sessions: opened by authenticated hosts, tainted by what they read, remembered across restarts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from toolward.config.limits import (
    PLAN_CHARS_MAX,
    SESSION_CALLS_COUNTED_MAX,
    SESSION_IDLE_S,
    SESSION_VALUES_MAX,
    SESSIONS_MAX,
)
from toolward.errors import Contested, Denied, Rejected
from toolward.errors import ReasonCode as Code
from toolward.kernel.audit import Auditor
from toolward.kernel.endorsed import endorsed_before
from toolward.kernel.session_rows import session_from_json, session_to_json
from toolward.kernel.signals.histories import Histories
from toolward.kernel.signals.outflow import Outflow
from toolward.model.call import LIST_ACTIONS
from toolward.model.event import Event, EventKind
from toolward.model.label import CLEAN, Integrity, Label
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.model.session import MANY, UNTRUSTED_NAMED_MAX, Savepoint, Session, SessionOrigin
from toolward.model.signal import NOTHING_TOLD
from toolward.model.tool import Effect
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.objective import is_name
from toolward.rules.signals.history import amount_of
from toolward.rules.standing import Move
from toolward.rules.step import bytes_out, counted, entered, has_effect, recounted


class Sessions:
    """The sessions of one gateway. State that decides (taint) is in the store; the memory of values is not.

    When a session comes back from the store, after a restart or because too many were open, its value memory
    is empty and says so (`overflowed`): its taint then stands as the floor, which can only make decisions
    stricter.
    """

    def __init__(self, store: Store, auditor: Auditor, *, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._auditor = auditor
        self.clock = clock
        self._ids = ids
        self.histories = Histories(store)
        self.outflow = Outflow(store, clock=clock)
        self._live: OrderedDict[str, Session] = OrderedDict()
        self._memories: dict[str, SessionMemory] = {}
        self._sizes: dict[str, int] = {}
        self._values = 0  # remembered by all sessions together
        self._idle: dict[tuple[str, str, str], tuple[str, int]] = {}
        self._opening = asyncio.Lock()

    async def open(
        self,
        principal: Principal,
        origin: SessionOrigin,
        *,
        session_id: str = "",
        objective: str = "",
        prompt: str = "",
        first: Move | None = None,
    ) -> Session:
        """A new session, recorded before it is used. Raises `Rejected` if the identifier is taken.

        `first` is its first step, if its objective is a declared one.
        """
        now = self.clock.now_ns()
        session = Session(
            session_id=session_id or self._ids.new(),
            principal=principal,
            origin=origin,
            objective=objective,
            prompt=prompt,
            opened_ns=now,
            last_used_ns=now,
        )
        if self._store.get(Table.SESSION, session.session_id) is not None:
            raise Rejected(
                "a session of that name is already there",
                code=Code.UNKNOWN_SESSION,
                remedy="open it under another name",
            )
        event = self._auditor.event(
            EventKind.SESSION_OPENED,
            session_id=session.session_id,
            body={
                "principal": principal.as_json(),
                "origin": origin.value,
                "objective_digest": self._auditor.digest(objective.encode()) if objective else "",
                "prompt_known": bool(prompt),
            },
            payloads={"opening": canonical({"objective": objective, "prompt": prompt})},
        )
        events = [event]
        if first is not None:
            session, moved = self._moved(session, first)
            events.append(moved)
        await self._store.commit(events, [self.put(session)])
        self.histories.opened(session.session_id)
        self._remember(session)
        return session

    async def enter(self, session: Session, move: Move) -> Session:
        """Move a session to a step of its objective; the record of it comes before that of any call in it."""
        moved, event = self._moved(session, move)
        self._remember(moved)
        await self._store.commit([event])
        return moved

    def _moved(self, session: Session, move: Move) -> tuple[Session, Event]:
        now = self.clock.now_ns()
        event = self._auditor.event(
            EventKind.SESSION_STEP,
            session_id=session.session_id,
            body={
                "objective": session.objective,
                "step": move.step,
                "from": session.step,
                "composition": move.composition,
                "by": move.by.as_json(),
                "entered_ns": str(now),
            },
        )
        return entered(session, move.step, now), event

    async def end(self, session: Session, how: str, said: Mapping[str, Any]) -> None:
        """Write down how a session's objective ended; no tool is called in it any more."""
        self._remember(replace(session, ended=how))
        event = self._auditor.event(
            EventKind.OBJECTIVE_ENDED,
            session_id=session.session_id,
            body={"objective": session.objective, "how": how, **said},
        )
        await self._store.commit([event])

    async def idle(self, principal: Principal, client_instance: str) -> Session:
        """The session of (credential, client instance), a new one after 30 idle minutes."""
        key = (principal.credential, principal.user, client_instance)
        known = self._idle_session(key, principal)
        if known is not None:
            return known
        # two first calls at once must not get a session each: the taint of one would be lost on the other
        async with self._opening:
            known = self._idle_session(key, principal)
            if known is None:
                known = await self.open(principal, SessionOrigin.IDLE)
                self._idle[key] = (known.session_id, self.clock.monotonic_ns())
            return known

    def _idle_session(self, key: tuple[str, str, str], principal: Principal) -> Session | None:
        found, now = self._idle.get(key), self.clock.monotonic_ns()
        if found is None or now - found[1] > SESSION_IDLE_S * 1_000_000_000:
            return None
        self._idle[key] = (found[0], now)
        return self.find(found[0], principal)

    def find(self, session_id: str, principal: Principal) -> Session:
        """The session, if it is this principal's. Raises `Rejected` without telling the two cases apart."""
        session = self.current(session_id)
        if session is None or session.principal != principal:
            raise Rejected(
                "no such session for this caller", code=Code.UNKNOWN_SESSION, remedy="open a new session"
            )
        return session

    def memory(self, session_id: str) -> SessionMemory:
        """What values the session has seen; one that was seen and forgotten counts as overflowed."""
        memory = self._memories.get(session_id)
        if memory is None:
            session = self.current(session_id)
            memory = SessionMemory(holes=session is None or session.taint != CLEAN)
            if session is not None:
                self._memories[session_id] = memory
                endorsed_before(self._store, session_id, memory)
        return memory

    def is_live(self, session_id: str) -> bool:
        """Whether it was used in this process and has not been closed."""
        return session_id in self._live

    def current(self, session_id: str) -> Session | None:
        """The session as it is now: the live one, else as the store has it."""
        session = self._live.get(session_id)
        if session is None:
            row = self._store.get(Table.SESSION, session_id)
            session = self._counted(session_from_json(session_id, row.body)) if row else None
            if session is not None:
                self._remember(session)
        return session

    def tainted(self, session: Session, label: Label, *, source: str) -> tuple[Session, bool]:
        """The session after call `source` brought such a label, and whether its row must be written."""
        self.histories.of(session.session_id).saw(label, self.clock.now_ns())
        taint, untrusted = session.taint.join(label), session.untrusted
        if label.integrity is Integrity.UNTRUSTED and not {source, MANY}.intersection(untrusted):
            untrusted = (*untrusted, source if len(untrusted) < UNTRUSTED_NAMED_MAX else MANY)
        changed = taint != session.taint or untrusted != session.untrusted
        return (replace(session, taint=taint, untrusted=untrusted) if changed else session), changed

    def let_through(self, permit: Permit) -> None:
        """Count a call from its permit on, so that calls that run at once can not pass one bound together.

        Nothing may wait between the decision and this. Raises `Denied` where the call would break a bound
        of its step, `Contested` where the session was moved to another step meanwhile, or where policies
        asked for its history and that went on.
        """
        resolved = permit.labelled.resolved
        if resolved.call.action in LIST_ACTIONS or resolved.call.copy_of:
            return
        session_id = resolved.call.session.session_id
        session = self.current(session_id) or resolved.call.session
        history, judged = self.histories.of(session_id), permit.labelled.history
        if judged.read and judged.version != history.version:
            raise Contested("the session went on while this was decided", remedy="send the same call again")
        wrote = resolved.version is not None and resolved.version.manifest.effect is not Effect.READ_ONLY
        if resolved.step is not None and not resolved.call.held_in:
            session = counted(
                session,
                resolved.step,
                writes=wrote,
                out=bytes_out(permit.labelled),
                now_ns=self.clock.now_ns(),
            )
        self._live[session_id] = replace(session, calls=session.calls + 1, written=session.written + wrote)
        history.let_through(
            resolved.version.key if resolved.version is not None else "",
            amount=amount_of(resolved),
            places=self.outflow.take(permit),
            now_ns=self.clock.now_ns(),
        )
        if permit.labelled.facts.read_confidential:
            if judged.telling is not NOTHING_TOLD:
                history.tells(judged.telling, agreed=bool(permit.approvals))
            if permit.labelled.facts.egress:
                history.answers(resolved.server, resolved.call.call_id)

    def answered(self, permit: Permit) -> None:
        """A call that was let through is over, however it ended."""
        call = permit.labelled.call
        if call.action not in LIST_ACTIONS and not call.copy_of:  # as `let_through` counted it
            self.histories.answered(call.session.session_id)

    def _counted(self, session: Session) -> Session:
        """As its row does not have it: what the log says of how often it was let through."""
        intents, merged = (
            self._store.find(kind=kind, session_id=session.session_id, limit=SESSION_CALLS_COUNTED_MAX)
            for kind in (EventKind.CALL_INTENT.value, EventKind.CALL_MERGED.value)
        )
        said = [body for each in (*intents, *merged) if "copy_of" not in (body := orjson.loads(each.body))]
        wrote = sum(has_effect(each) for each in said)
        session = replace(session, calls=len(said), written=wrote)
        if not is_name(session.objective):
            return session
        moves, ends = (
            self._store.find(
                kind=kind.value,
                session_id=session.session_id,
                limit=SESSION_CALLS_COUNTED_MAX,
                newest_first=False,
            )
            for kind in (EventKind.SESSION_STEP, EventKind.OBJECTIVE_ENDED)
        )
        return recounted(
            session,
            moves=(orjson.loads(each.body) for each in moves),
            calls=said,
            ends=(orjson.loads(each.body) for each in ends),
        )

    def judged(self, session: Session) -> Session:
        """As its calls are judged: it is not tainted by what a person endorsed, if nothing else tainted it.

        Who may read what it has seen stays as it is.
        """
        if session.untrusted and self.memory(session.session_id).endorsed_calls.issuperset(session.untrusted):
            return replace(session, taint=Label(Integrity.TRUSTED, session.taint.confidentiality))
        return session

    async def savepoint(self, session: Session, name: str) -> Savepoint:
        """Name the present place in the log, to come back to. Raises `Rejected` if the name is taken."""
        if any(mark.name == name for mark in session.savepoints):
            raise Rejected(f"the savepoint `{name}` is already there", remedy="choose another name")
        mark = Savepoint(name=name, log_index=self._store.size())
        marked = replace(session, savepoints=(*session.savepoints, mark))
        event = self._auditor.event(
            EventKind.SESSION_SAVEPOINT,
            session_id=session.session_id,
            body={"name": name, "log_index": mark.log_index},
        )
        self._remember(marked)
        await self._store.commit([event], [self.put(marked)])
        return mark

    async def plan(self, session_id: str, words: str) -> Session:
        """Declare once what is going to be done, before anything untrusted was read; it is recorded first.

        Raises `Denied` for a session that has read something untrusted: those words could be an attacker's;
        `Rejected` where there is a plan already, or the text is empty or too long.
        """
        session = self.current(session_id)
        if session is None:
            raise Rejected("no such session for this caller", code=Code.UNKNOWN_SESSION)
        if session.taint.integrity is Integrity.UNTRUSTED or self.memory(session_id).overflowed:
            raise Denied(
                "the session has read untrusted content, so no plan is taken any more",
                code=Code.PLAN_TOO_LATE,
                remedy="go on with what the user asked for, or declare the plan first in a new session",
            )
        if session.plan or not words.strip() or len(words) > PLAN_CHARS_MAX:
            raise Rejected(
                f"a plan is declared once, in 1 to {PLAN_CHARS_MAX} characters",
                remedy="go on with the plan that is there",
            )
        planned = replace(session, plan=words)
        event = self._auditor.event(
            EventKind.SESSION_PLAN,
            session_id=session_id,
            body={"plan_digest": self._auditor.digest(words.encode())},
            payloads={"plan": words.encode()},
        )
        self._remember(planned)
        await self._store.commit([event], [self.put(planned)])
        return planned

    def keep(self, session: Session) -> None:
        """Make `session` the live one, and make room if its values were the ones too many."""
        self._remember(session)
        memory = self._memories.get(session.session_id)
        if memory is not None:
            size = memory.size
            self._values += size - self._sizes.get(session.session_id, 0)
            self._sizes[session.session_id] = size
            self._make_room(session.session_id)

    def forget(self, session_id: str) -> None:
        """Drop the live copy; the row stays, for the audit and for rollback."""
        self._live.pop(session_id, None)
        self._drop_memory(session_id)
        self.histories.forget(session_id)

    def _make_room(self, newest: str) -> None:
        """Forget the values of the sessions that were quiet longest; their taint then stands as the floor."""
        while self._values > SESSION_VALUES_MAX:
            oldest = next((each for each in self._live if each in self._sizes and each != newest), None)
            if oldest is None:
                return
            self._drop_memory(oldest)

    def _drop_memory(self, session_id: str) -> None:
        self._memories.pop(session_id, None)
        self._values -= self._sizes.pop(session_id, 0)

    @staticmethod
    def put(session: Session) -> Put:
        """The write that makes the session durable."""
        return Put(Table.SESSION, session.session_id, session_to_json(session))

    def _remember(self, session: Session) -> None:
        self._live[session.session_id] = session
        self._live.move_to_end(session.session_id)
        while len(self._live) > SESSIONS_MAX:
            oldest, _ = self._live.popitem(last=False)
            self._drop_memory(oldest)
            self.histories.forget(oldest)
