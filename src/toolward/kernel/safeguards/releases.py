"""What is held in escrow, as people and time see it: listed, called off, released, and then asked again.

Nothing here executes. What is due is handed to the corridor like any call, so the policy, the pins, the stops
and the approvals of then decide; the row is used up in the commit of its intent.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import orjson
from msgspec.structs import replace

from toolward.config.limits import KEPT_RESULT_S, RELEASE_AGAIN_S
from toolward.errors import Denied, GatewayError, Reason, ReasonCode, Rejected
from toolward.kernel.attempt import Attempt
from toolward.kernel.audit import Auditor
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.safeguards.escrow import CANCELLED, DUE, HELD, REFUSED
from toolward.kernel.suspended import attempt_of, suspended_principal
from toolward.model.call import Reply
from toolward.model.event import Event, EventKind
from toolward.model.principal import CredentialKind, Principal
from toolward.model.rollback import UNDO_AGENT
from toolward.ports.clock import Clock
from toolward.ports.store import Conflict, Delete, Put, Row, Store, Table
from toolward.ports.upstream import Exchange
from toolward.rules.canonical import canonical

_SECOND_NS: Final = 1_000_000_000
_NOT_YET: Final = frozenset(
    {
        ReasonCode.RESOURCE_CONFLICT,
        ReasonCode.RESOURCE_FENCED,
        ReasonCode.APPROVAL_REQUIRED,
        ReasonCode.IN_PROGRESS,
        ReasonCode.CONTESTED,
        ReasonCode.OVERLOADED,
        ReasonCode.STALE_DEFINITION,
        ReasonCode.AUDIT_UNAVAILABLE,
        ReasonCode.STORE_UNAVAILABLE,
        ReasonCode.SANDBOX_UNAVAILABLE,
        ReasonCode.TOOL_UNREACHABLE,
    }
)
"""Refusals that pass: what is due stays due, and is asked again."""
_BY_KEY: Final = frozenset({CredentialKind.API_KEY, CredentialKind.PERSON})

SWEEP_S: Final = 3600
"""Between two looks at what can be removed."""
AT_ONCE_MAX: Final = 32
"""Due calls that are asked for at the same time, so that a slow server does not hold up the others."""
Perform = Callable[[Attempt, Exchange], Awaitable[Reply]]


class Releases:
    """The held calls of a ward. One look at the nearest time is all that waiting costs."""

    def __init__(self, store: Store, auditor: Auditor, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self.perform: Perform | None = None
        self._times: list[tuple[int, str]] = []  # a heap: when, which
        self._due: set[str] = set()  # to be asked for now
        self._later: dict[str, int] = {}  # due, and refused for now -> how often
        self._wake = asyncio.Event()
        self._swept_ns = 0
        for row in store.scan(Table.ESCROW):
            held = orjson.loads(row.body)
            if held["state"] == DUE:
                self._due.add(row.key)
            elif held["state"] == HELD:
                self.note(row.key, int(held["release_ns"]))

    def note(self, escrow_id: str, release_ns: int) -> None:
        """A call was held; 0 is a time that never comes."""
        if release_ns:
            heapq.heappush(self._times, (release_ns, escrow_id))
            self._wake.set()

    def wake(self) -> None:
        """Something changed that what is due may have waited for."""
        self._due |= set(self._later)
        if self._due:
            self._wake.set()

    # --- what people do ---------------------------------------------------------------------------

    def pending(self, session_id: str = "") -> list[dict[str, Any]]:
        """What is held or due, oldest first, with its arguments; of one session if one is named."""
        found = [
            held
            for row in self._store.scan(Table.ESCROW)
            for held in [orjson.loads(row.body)]
            if held["state"] in (HELD, DUE) and (not session_id or held["session_id"] == session_id)
        ]
        return [self._shown(held) for held in sorted(found, key=lambda held: int(held["held_ns"]))]

    async def cancel(self, escrow_id: str, *, why: str, by: Principal) -> dict[str, Any]:
        """Call it off: it never happens. For a person, and for the caller that asked for it.

        Raises `Rejected` for what is not held (any more), `Denied` for somebody else's.
        """
        row, held = self._found(escrow_id)
        if not by.is_person and by.agent != UNDO_AGENT and by != suspended_principal(held):
            raise Denied("it was asked for by somebody else", code=ReasonCode.NOT_AN_APPROVER)
        if held["state"] not in (HELD, DUE):
            raise _not_pending(held)
        who = f"{by.user} ({by.agent})"
        ended = {**held, "state": CANCELLED, "by": who, "why": why[:1000] or "no reason given"}
        ended["ended_ns"] = str(self._clock.now_ns())
        event = self._event(held, how="cancelled", by=by, why=why)
        await self._commit([event], row, ended)
        _ = self._later.pop(escrow_id, None)
        return {"escrow_id": escrow_id, "state": CANCELLED}

    async def release(self, escrow_id: str, *, by: Principal) -> dict[str, Any]:
        """A person lets it go on now. What came of it stands in `code` and `reason`, or in `call_id`."""
        if not by.is_person:
            raise Denied("only a person releases what is held", code=ReasonCode.NOT_AN_APPROVER)
        row, held = self._found(escrow_id)
        if held["state"] == HELD:
            await self._commit([self._event(held, how="released", by=by)], row, {**held, "state": DUE})
        elif held["state"] != DUE:
            raise _not_pending(held)
        return _came_of(escrow_id, await self.ask(escrow_id))

    def sealing(self, session_id: str, *, by: Principal) -> tuple[list[Event], list[Put], list[str]]:
        """What to commit with a session's seal, so that all that it holds is due. Then call `go`."""
        events, puts, ids = [], [], []
        for row in self._store.scan(Table.ESCROW):
            held = orjson.loads(row.body)
            if held["session_id"] == session_id and held["state"] == HELD:
                events.append(self._event(held, how="released", by=by, why="the session was sealed"))
                puts.append(Put(Table.ESCROW, row.key, canonical({**held, "state": DUE}), expect=row.version))
                ids.append(row.key)
        return events, puts, ids

    async def go(self, ids: list[str]) -> list[dict[str, Any]]:
        """Ask for what was made due, in the order in which it was held; what came of each."""
        order = {each: int(self._found(each)[1]["held_ns"]) for each in ids}
        return [_came_of(each, await self.ask(each)) for each in sorted(ids, key=order.__getitem__)]

    # --- what time does ---------------------------------------------------------------------------

    async def keep(self) -> None:
        """Release what is due, again and again, until cancelled."""
        while True:
            self._wake.clear()
            with suppress(GatewayError):  # the store takes no writes now: what is due stays due
                _ = await self.tick()
                await self._sweep()
            try:
                async with asyncio.timeout(self._rest_s()):
                    _ = await self._wake.wait()
            except TimeoutError:
                continue

    async def tick(self) -> int:
        """Ask for everything that is due by now; how many were asked for."""
        now = self._clock.now_ns()
        while self._times and self._times[0][0] <= now:
            _, escrow_id = heapq.heappop(self._times)
            await self._time_has_come(escrow_id)
        due, self._due = sorted(self._due), set()
        for place in range(0, len(due), AT_ONCE_MAX):
            some = due[place : place + AT_ONCE_MAX]
            _ = await asyncio.gather(*(self.ask(escrow_id) for escrow_id in some))
        return len(due)

    async def _time_has_come(self, escrow_id: str) -> None:
        row = self._store.get(Table.ESCROW, escrow_id)
        held = orjson.loads(row.body) if row else {}
        now = self._clock.now_ns()
        if held.get("state") == DUE:
            self._due.add(escrow_id)
        if row is None or held["state"] != HELD or not 0 < int(held["release_ns"]) <= now:
            return  # called off or released meanwhile, or held anew for later
        try:
            await self._commit([self._event(held, how="released")], row, {**held, "state": DUE})
        except Denied:
            return  # somebody was faster
        except GatewayError:
            heapq.heappush(self._times, (now + RELEASE_AGAIN_S * _SECOND_NS, escrow_id))
            raise
        self._due.add(escrow_id)

    async def _sweep(self) -> None:
        """Now and then, remove what ended so long ago that no retry is answered with it any more."""
        now = self._clock.now_ns()
        if now - self._swept_ns < SWEEP_S * _SECOND_NS:
            return
        self._swept_ns = now
        for row in list(self._store.scan(Table.ESCROW)):
            held = orjson.loads(row.body)
            if held["state"] in (HELD, DUE) or now - int(held["ended_ns"]) <= KEPT_RESULT_S * _SECOND_NS:
                continue
            with suppress(Conflict):  # held anew meanwhile
                await self._store.commit(
                    [],
                    [Put(Table.ESCROW, row.key, row.body, expect=row.version), Delete(Table.ESCROW, row.key)],
                )

    def _rest_s(self) -> float:
        """Until the next time, but never so long that a clock that was set matters."""
        if not self._times:
            return 86_400.0
        left = (self._times[0][0] - self._clock.now_ns()) / _SECOND_NS
        return min(max(left, 0.001), float(RELEASE_AGAIN_S))

    # --- asking again -----------------------------------------------------------------------------

    async def ask(self, escrow_id: str) -> Reply | None:
        """Hand one due call to the corridor; None if it is not due any more. Never raises for a refusal."""
        if self.perform is None:
            return None
        row, held = self._found(escrow_id)
        if held["state"] != DUE:
            return None
        arguments = self._arguments(held)
        if arguments is None or not self._is_known(held):
            await self._refused(row, held, _ERASED if arguments is None else _REVOKED)
            return None
        attempt = attempt_of(held, arguments, released=escrow_id, door="escrow")
        # rows of earlier versions name no step
        attempt = replace(attempt, held_in=held.get("step", ""))
        reply = await self.perform(attempt, QuietExchange())
        await self._came_back(escrow_id, reply)
        return reply

    def _is_known(self, held: dict[str, Any]) -> bool:
        """Whether whoever asked for it would still be let in."""
        principal = suspended_principal(held)
        return principal.kind not in _BY_KEY or any(
            orjson.loads(row.body)["name"] == principal.credential
            for row in self._store.scan(Table.CREDENTIAL)
        )

    async def _came_back(self, escrow_id: str, reply: Reply) -> None:
        row = self._store.get(Table.ESCROW, escrow_id)
        held = orjson.loads(row.body) if row else {}
        if row is None or held["state"] != DUE:
            _ = self._later.pop(escrow_id, None)  # it ran
            return
        code = _code_of(reply)
        if code in _NOT_YET:
            self._ask_later(escrow_id, code)
            return
        data = reply.error.data if reply.error is not None and isinstance(reply.error.data, dict) else {}
        reason = Reason(
            code=code or ReasonCode.INTERNAL,
            text=str(data.get("reason", "it was refused")),
            remedy=str(data.get("remedy", "")),
        )
        await self._refused(row, held, reason)

    async def _refused(self, row: Row, held: dict[str, Any], reason: Reason) -> None:
        said = {"code": reason.code.value, "text": reason.text, "remedy": reason.remedy}
        ended = {**held, "state": REFUSED, "reason": said, "ended_ns": str(self._clock.now_ns())}
        event = self._event(held, how="refused", why=f"{reason.code}: {reason.text}")
        try:
            await self._commit([event], row, ended)
        except Denied:
            return  # somebody called it off at the same time
        _ = self._later.pop(row.key, None)

    def _ask_later(self, escrow_id: str, code: ReasonCode) -> None:
        """Less and less often; an approval that is missing brings it back itself."""
        times = self._later.get(escrow_id, 0)
        self._later[escrow_id] = times + 1
        if code is not ReasonCode.APPROVAL_REQUIRED:
            wait_s = min(RELEASE_AGAIN_S * 2**times, KEPT_RESULT_S)
            heapq.heappush(self._times, (self._clock.now_ns() + wait_s * _SECOND_NS, escrow_id))

    # --- rows -------------------------------------------------------------------------------------

    def _found(self, escrow_id: str) -> tuple[Row, dict[str, Any]]:
        row = self._store.get(Table.ESCROW, escrow_id)
        if row is None:
            raise Rejected(
                f"nothing is held as `{escrow_id[:100]}`",
                code=ReasonCode.NOT_PENDING,
                remedy="see `toolward escrow list`",
            )
        return row, orjson.loads(row.body)

    async def _commit(self, events: list[Event], row: Row, held: dict[str, Any]) -> None:
        try:
            await self._store.commit(
                events, [Put(Table.ESCROW, row.key, canonical(held), expect=row.version)]
            )
        except Conflict as conflict:
            raise Denied(
                "it moved on meanwhile", code=ReasonCode.NOT_PENDING, remedy="look at it again"
            ) from conflict

    def _event(self, held: dict[str, Any], *, how: str, by: Principal | None = None, why: str = "") -> Event:
        body: dict[str, Any] = {"escrow_id": held["escrow_id"], "how": how, "held_call": held["held_call"]}
        body |= {"by": by.as_json()} if by is not None else {}
        body |= {"why": why[:1000]} if why else {}
        return self._auditor.event(
            EventKind.ESCROW_ENDED, session_id=held["session_id"], tool=held["tool"], body=body
        )

    def _record(self, held: dict[str, Any]) -> int:
        kept = self._store.find(kind=EventKind.ESCROW_HELD.value, call_id=held["held_call"], limit=1)
        return kept[0].index if kept else -1

    def _arguments(self, held: dict[str, Any]) -> bytes | None:
        return self._store.payload(self._record(held), "arguments")

    def _shown(self, held: dict[str, Any]) -> dict[str, Any]:
        arguments = self._arguments(held)
        return {
            "escrow_id": held["escrow_id"],
            "state": held["state"],
            "record": self._record(held),
            "tool": held["tool"],
            "session": held["session_id"],
            "who": {"user": held["principal"]["user"], "agent": held["principal"]["agent"]},
            "arguments": orjson.loads(arguments) if arguments else "(erased)",
            "held_ns": held["held_ns"],
            "release_ns": held["release_ns"],
            "until_seal": held["until_seal"],
        }


_REVOKED: Final = Reason(code=ReasonCode.UNAUTHENTICATED, text="the key that asked for it was revoked")
_ERASED: Final = Reason(code=ReasonCode.ESCROW_CANCELLED, text="its arguments were erased")


def _not_pending(held: dict[str, Any]) -> Rejected:
    return Rejected(f"it is {held['state']} already", code=ReasonCode.NOT_PENDING)


def _code_of(reply: Reply) -> ReasonCode | None:
    data = reply.error.data if reply.error is not None else None
    try:
        return ReasonCode(str(data["code"])) if isinstance(data, dict) and "code" in data else None
    except ValueError:
        return None


def _came_of(escrow_id: str, reply: Reply | None) -> dict[str, Any]:
    if reply is None:
        return {"escrow_id": escrow_id, "state": "ended"}
    if reply.error is None:
        return {"escrow_id": escrow_id, "state": "used", "call_id": reply.call_id}
    data = reply.error.data if isinstance(reply.error.data, dict) else {}
    return {
        "escrow_id": escrow_id,
        "state": "refused",
        "call_id": reply.call_id,
        "code": str(data.get("code", "")),
        "reason": str(data.get("reason", reply.error.message)),
    }
