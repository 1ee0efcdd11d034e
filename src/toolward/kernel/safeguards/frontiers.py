"""Frontiers: a resource belongs to the session that changed it, until that session's work is settled.

Two sessions that change one thing in turns could leave it in a state that neither can undo. So the second one
waits or is refused, as the manifest says, until the first is sealed or rolled back, or has gone away.
A resource is taken in the commit of the intent, by compare-and-swap. An effect that can not be undone takes
it only while it runs: nothing of it will be undone, so there is nothing that others could spoil.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import orjson
from typing_extensions import override

from toolward.config.limits import FRONTIER_WAIT_S, SESSION_IDLE_S, SESSIONS_MAX
from toolward.errors import AuditUnavailable, Contested, Denied, GatewayError, Overloaded, ReasonCode
from toolward.kernel.clauses import NO_PROMISE, Clause, Promise
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.safeguards.places import Places
from toolward.kernel.safeguards.takes import Take, Takes
from toolward.kernel.stages.intend import tool_of
from toolward.model.call import Call, RawOutcome, Reply
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.tool import Effect
from toolward.model.undo import Conflicts
from toolward.ports.clock import Clock
from toolward.ports.store import Change, Conflict, Delete, Put, Row, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.resources import resources_of
from toolward.rules.undo_templates import writable_roots

AT: Final = "at/"
"""Of a row that says who changed a resource."""
REFRESH_S: Final = 60
"""How old the time in a row may be before a call of its own session writes it anew."""
_SECOND_NS: Final = 1_000_000_000
_TRIES_MAX: Final = 16


class Frontiers(Clause):
    """Who changed what. `wait_s` bounds how long a call waits for a resource."""

    def __init__(self, store: Store, *, clock: Clock, wait_s: float = FRONTIER_WAIT_S) -> None:
        self._store = store
        self._clock = clock
        self.wait_s = wait_s
        self.on_release: Callable[[], None] = lambda: None
        self._waits_for: Counter[tuple[str, str]] = Counter()  # (session, session) -> calls that wait so
        self._busy: Counter[str] = Counter()  # calls of a session between promise and outcome
        self._moved = asyncio.Event()  # set, and replaced, whenever a resource was let go
        self._takes = Takes()
        self.places = Places(row.key.removeprefix(AT) for row in store.scan(Table.FRONTIER, AT))
        self._settling: set[str] = set()  # sessions that are being sealed or rolled back
        self._letting_go: dict[str, list[str]] = {}  # sessions that are being settled -> what they hold
        self._releasing: Counter[str] = Counter()  # sessions whose release waits for a call or a seal
        # sessions that hold something -> when they last asked for anything; none could while we were away
        self._seen: dict[str, int] = dict.fromkeys(self._holders(), clock.now_ns())

    # --- the clause -------------------------------------------------------------------------------

    @override
    def concerns(self, call: Call) -> bool:
        if call.session.session_id in self._seen:  # it still goes on, so it holds what it holds
            self._seen[call.session.session_id] = self._clock.now_ns()
        return False

    @override
    def binds(self, permit: Permit) -> bool:
        """What changes something that has a name, and whatever a session does that holds such a thing."""
        version = permit.labelled.resolved.version
        declared = version is not None and version.manifest.undo is not None
        return declared or permit.labelled.call.session.session_id in self._seen

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        call, version = permit.labelled.call, permit.labelled.resolved.version
        self._busy[call.session.session_id] += 1
        if version is None or version.manifest.undo is None or version.manifest.effect is Effect.READ_ONLY:
            return NO_PROMISE
        roots = writable_roots(revision.binding(version.server), version.manifest)
        resources = resources_of(version.manifest, call.arguments, roots=roots)
        if not resources:
            return NO_PROMISE
        owner = self._owner(call)
        changes: list[Change] = []
        fresh: list[str] = []
        await self._let_go_first(owner, resources)
        for resource in resources:
            row = self._store.get(Table.FRONTIER, AT + resource)
            found = orjson.loads(row.body) if row else {}
            if self._is_ours(found, owner, resource):
                continue  # calls of one session must not contend for what is theirs already
            rivals = self._rivals(resource, found, owner)
            if rivals:
                await self._wait_or_refuse(call, resource, rivals[0], version.manifest.undo.conflicts)
            if not found or found["session"] != owner:
                fresh.append(resource)
            taken = {
                "session": owner,
                "call_id": call.call_id,
                "tool": tool_of(permit),
                "at_ns": str(self._clock.now_ns()),
            }
            self._seen[owner] = self._clock.now_ns()
            if len(self._seen) > SESSIONS_MAX:
                del self._seen[next(iter(self._seen))]  # the times in its rows stand for it then
            changes.append(
                Put(Table.FRONTIER, AT + resource, canonical(taken), expect=row.version if row else 0)
            )
        passes = version.manifest.effect is Effect.IRREVERSIBLE and not call.undo_of
        self._takes.begin(call.call_id, Take(owner, resources, passes), fresh)
        self.places.add(resources)
        return Promise(changes=tuple(changes), body={"resources": list(resources)})

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        """What was taken for the time of the call only is let go, unless its session has it otherwise."""
        gone = self._takes.close(permit.labelled.call.call_id, outcome)
        return [Delete(Table.FRONTIER, AT + resource) for resource in gone]

    @override
    def concluded(self, permit: Permit, reply: Reply) -> None:
        self._free(permit)

    @override
    def lapsed(self, permit: Permit) -> None:
        take = self._free(permit)
        self._drop(take.resources if take is not None else ())
        if self._waits_for:
            self.moved()  # somebody may have waited for what it was about to take

    def _free(self, permit: Permit) -> Take | None:
        session_id = permit.labelled.call.session.session_id
        self._busy[session_id] -= 1
        if self._busy[session_id] <= 0:
            del self._busy[session_id]
        take = self._takes.end(permit.labelled.call.call_id)
        if take is None:
            return None
        left = False
        for resource in take.resources:
            if self._takes.is_left(take.owner, resource):
                row = self._store.get(Table.FRONTIER, AT + resource)
                if row is not None and orjson.loads(row.body)["session"] == take.owner:
                    left = True
                else:
                    self._takes.forget(take.owner, resource)
        self._drop(take.ending)
        if left or take.ending or take.owner in self._releasing:
            self.moved()
        return take

    # --- what others ask --------------------------------------------------------------------------

    def held_by(self, session_id: str) -> dict[str, Row]:
        """The resources that a session changed and that are not settled, with their rows."""
        return {
            row.key.removeprefix(AT): row
            for row in self._store.scan(Table.FRONTIER, AT)
            if orjson.loads(row.body)["session"] == session_id
        }

    def settling(self, session_id: str) -> list[Change]:
        """What to commit with the record that settles a session: its resources are let go.

        Within `settles`. By compare-and-swap: what moved meanwhile makes it a `Conflict`, to be tried again.
        """
        changes: list[Change] = []
        held = self.held_by(session_id)
        self._letting_go[session_id] = list(held)
        for row in held.values():
            changes += [
                Put(Table.FRONTIER, row.key, row.body, expect=row.version),
                Delete(Table.FRONTIER, row.key),
            ]
        return changes

    def moved(self, session_id: str = "") -> None:
        """Something was let go, by that session: whoever waits looks again."""
        _ = self._seen.pop(session_id, None)
        self._moved.set()
        self._moved = asyncio.Event()
        self.on_release()

    async def release(self, session_id: str) -> None:
        """Let go of all that a session holds: it was rolled back.

        Waits while a call of it is on its way or it is being sealed. Raises `AuditUnavailable`, and
        `GatewayError` when that takes very long.
        """
        self._releasing[session_id] += 1
        try:
            for _ in range(_TRIES_MAX):
                if not self._is_settled_or_taken(session_id):
                    break
                await self._wait_moved(FRONTIER_WAIT_S)
        finally:
            self._releasing -= Counter({session_id: 1})
        with self.settles(session_id):
            for _ in range(_TRIES_MAX):
                changes = self.settling(session_id)
                try:
                    if changes:
                        await self._store.commit([], changes)
                except Conflict:
                    continue
                return

    async def leave(self, session_id: str) -> None:
        """The session was closed without being settled: others may go on where it was.

        What it did stays its own to roll back until another session changes it, which is then on record.
        A store that takes no more writes leaves it to the half hour of idleness.
        """
        with suppress(AuditUnavailable, Overloaded, Conflict):
            changes: list[Change] = [
                Put(
                    Table.FRONTIER,
                    row.key,
                    canonical({**orjson.loads(row.body), "left": True}),
                    expect=row.version,
                )
                for row in self.held_by(session_id).values()
            ]
            if changes:
                await self._store.commit([], changes)
                self.moved(session_id)

    @contextmanager
    def settles(self, session_id: str) -> Iterator[None]:
        """While what the session holds is let go, no call of it may count on holding it.

        Raises `GatewayError` (`in_progress`) while a call of the session is on its way.
        """
        if self._is_settled_or_taken(session_id):
            raise GatewayError(
                "a call of this session is still running",
                code=ReasonCode.IN_PROGRESS,
                remedy="try again when its calls have ended",
                details=(("retry_after_s", "5"),),
            )
        self._settling.add(session_id)
        try:
            yield
        finally:
            self._settling.discard(session_id)
            self._drop(self._letting_go.pop(session_id, ()))
            self.moved(session_id)

    # --- inside -----------------------------------------------------------------------------------

    def _owner(self, call: Call) -> str:
        """The session in whose name it acts: what undoes a call acts for the session of that call."""
        if call.undo_of:
            found = self._store.find(kind=EventKind.CALL_INTENT.value, call_id=call.undo_of, limit=1)
            if found:
                return str(orjson.loads(found[0].body)["session_id"])
        return call.session.session_id

    async def _let_go_first(self, owner: str, resources: Sequence[str]) -> None:
        """Nobody counts on holding what is just being let go."""
        if owner in self._settling or any(self._takes.is_ending(owner, name) for name in resources):
            await self._wait_moved(self.wait_s)
            raise Contested("what the session held was let go meanwhile", remedy="try again")

    async def _wait_moved(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                _ = await self._moved.wait()

    def _is_settled_or_taken(self, session_id: str) -> bool:
        return session_id in self._settling or self._takes.is_taking(session_id)

    def _holders(self) -> list[str]:
        """The sessions that hold something and were not closed, those that took it last at the end."""
        found = [orjson.loads(row.body) for row in self._store.scan(Table.FRONTIER, AT)]
        found.sort(key=lambda taken: int(taken["at_ns"]))
        return [taken["session"] for taken in found if not taken.get("left")][-SESSIONS_MAX:]

    def _is_ours(self, found: Mapping[str, Any], owner: str, resource: str) -> bool:
        """Whether the row says so well enough: it is written anew only now and then, for the idle clock."""
        if not found or found["session"] != owner or found.get("left"):
            return False
        if self._takes.is_left(owner, resource):
            return False  # others may take it over, so it is taken anew
        return self._clock.now_ns() - int(found["at_ns"]) < REFRESH_S * _SECOND_NS

    def _is_live(self, found: Mapping[str, Any]) -> bool:
        """Whether its session may still go on: not closed, and used within the last half hour."""
        if self._busy[found["session"]] > 0:
            return True
        if found.get("left"):
            return False
        return self._idle_ns(found) <= SESSION_IDLE_S * _SECOND_NS

    def _idle_ns(self, found: Mapping[str, Any]) -> int:
        last = max(int(found["at_ns"]), self._seen.get(found["session"], 0))
        return self._clock.now_ns() - last

    def _rivals(self, resource: str, found: Mapping[str, Any], owner: str) -> list[Mapping[str, Any]]:
        """The rows by which other sessions, whose work may go on, have it or what lies above or below it."""
        held = {resource: found}
        for name in self.places.meeting(resource):
            row = self._store.get(Table.FRONTIER, AT + name)
            held[name] = orjson.loads(row.body) if row is not None else {}
        return [
            theirs
            for name, row in held.items()
            if (theirs := row or self._about_to_be(name, owner))
            and theirs["session"] != owner
            and not self._takes.is_left(theirs["session"], name)
            and self._is_live(theirs)
        ]

    def _about_to_be(self, name: str, owner: str) -> dict[str, Any]:
        """As its row will say when the intent of another session's call is durable; empty without one."""
        taker = self._takes.taker(name, besides=owner)
        return {"session": taker, "at_ns": str(self._clock.now_ns())} if taker else {}

    def _drop(self, names: Iterable[str]) -> None:
        """Forget the places that were let go."""
        for name in names:
            if self._store.get(Table.FRONTIER, AT + name) is None and not self._takes.taker(name):
                self.places.remove(name)

    async def _wait_or_refuse(
        self, call: Call, resource: str, found: Mapping[str, Any], conflicts: Conflicts
    ) -> None:
        """Raises: what was decided before the wait is decided again after it, so `Contested` at best."""
        mine, theirs = call.session.session_id, str(found["session"])
        waited_s = (self._clock.monotonic_ns() - call.received_ns) / _SECOND_NS
        left_s = self.wait_s - waited_s
        if conflicts is Conflicts.REFUSE or call.undo_of or left_s <= 0:
            raise self._taken(resource, found)
        if self._leads_to(theirs, mine):
            raise self._taken(resource, found, " which itself waits for this one")
        with self._waiting(mine, theirs):
            try:
                async with asyncio.timeout(left_s):
                    _ = await self._moved.wait()
            except TimeoutError:
                raise self._taken(resource, found) from None
        raise Contested(f"`{resource}` was let go", remedy="try again")

    @contextmanager
    def _waiting(self, mine: str, theirs: str) -> Iterator[None]:
        self._waits_for[mine, theirs] += 1
        try:
            yield
        finally:
            self._waits_for[mine, theirs] -= 1
            if not self._waits_for[mine, theirs]:
                del self._waits_for[mine, theirs]

    def _leads_to(self, start: str, goal: str) -> bool:
        """Whether `start` waits, over others, for `goal`: then `goal` must not wait for it."""
        seen, todo = set[str](), [start]
        while todo:
            at = todo.pop()
            if at == goal:
                return True
            if at not in seen:
                seen.add(at)
                todo += [theirs for mine, theirs in self._waits_for if mine == at]
        return False

    def _taken(self, resource: str, found: Mapping[str, Any], more: str = "") -> Denied:
        idle_s = SESSION_IDLE_S - self._idle_ns(found) // _SECOND_NS
        return Denied(
            f"`{resource}` was changed by another session whose work is not settled{more}",
            code=ReasonCode.RESOURCE_CONFLICT,
            remedy="work on something else and try again later: it is let go when that session is sealed, "
            f"rolled back or closed, or idle, in {max(idle_s, 0) // 60 + 1} minutes at the earliest",
            details=(("resource", resource), ("retry_after_s", str(RETRY_HINT_S))),
        )


RETRY_HINT_S: Final = 30
"""After how long a refused call may be tried again with some hope."""
