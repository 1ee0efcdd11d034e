"""Idempotency keys: the caller's own name for an effect, which then happens once, whatever is retried.

A key is claimed in the commit of the intent, by compare-and-swap, so no two executions hold it and no crash
falls in between. What became of it is what the call's outcome record says; nothing is written twice. Its
scope is the caller (user, agent, credential) and the tool: nobody meets another's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from typing_extensions import override

from toolward.config.limits import KEYS_KEPT_S, RETRY_WAIT_S
from toolward.errors import Contested, GatewayError, ReasonCode, Rejected, ToolFailed
from toolward.kernel.clauses import NO_PROMISE, Clause, Promise, named
from toolward.kernel.replay import Replay
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.safeguards.probe import Corridor, Probe
from toolward.kernel.stages.intend import tool_of
from toolward.model.call import Call, Failed, RawOutcome, Reply
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.undo import UNDO_WINDOW_S
from toolward.ports.clock import Clock
from toolward.ports.store import Change, Conflict, Delete, Put, Row, Store, Table
from toolward.rules.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLAIMED, HAPPENED, FREE = "claimed", "happened", "free"
"""What a row says. `happened`: a probe says so, and the answer is lost. `free`: it says that it did not."""
RUNNING, DONE, UNKNOWN = "running", "done", "unknown"
"""What became of a claimed one."""
_CUT_OFF: Final = frozenset({"stopped", "unknown"})
"""Statuses of outcomes that leave it open whether something happened."""
_SECOND_NS: Final = 1_000_000_000
_LOOKED_AT: Final = 200
"""Rows looked at before others have their turn."""


@dataclass(eq=False, slots=True)
class _Held:
    """A key that a call of this process holds; `ended` is set when it lets go."""

    args_digest: str
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Once(Clause):
    """Keys, by their digest. `wait_s` bounds how long a retry waits for the first one's outcome."""

    def __init__(
        self, store: Store, replay: Replay, probe: Probe, *, clock: Clock, wait_s: float = RETRY_WAIT_S
    ) -> None:
        self._store = store
        self._replay = replay
        self._probe = probe
        self._clock = clock
        self.wait_s = wait_s
        self.corridor: Corridor | None = None
        self._held: dict[str, _Held] = {}
        self._claims: dict[str, str] = {}  # call_id -> the key that it holds

    @override
    def concerns(self, call: Call) -> bool:
        return bool(call.idempotency_key)

    @override
    async def answer(self, call: Call) -> Reply | None:
        key = self._key(call)
        await self._wait(key, call)
        row = self._store.get(Table.IDEMPOTENCY, key)
        if row is None:
            return None
        claim = orjson.loads(row.body)
        _same(claim["args_digest"], call)
        state = self._became(claim) if claim["state"] == CLAIMED else claim["state"]
        if state == UNKNOWN:
            state = await self._looked_into(key, row, claim, call)
        match state:
            case "free":
                return None
            case "done":
                return await self._kept(claim, call)
            case "running":
                raise _in_progress()
            case "happened":
                raise _happened(claim["call_id"])
            case _:
                raise _unknown(claim["call_id"])

    @override
    def binds(self, permit: Permit) -> bool:
        return bool(permit.labelled.call.idempotency_key)

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        call = permit.labelled.call
        if not call.idempotency_key:
            return NO_PROMISE
        key = self._key(call)
        row = self._store.get(Table.IDEMPOTENCY, key)
        if key in self._held or (row is not None and orjson.loads(row.body)["state"] != FREE):
            raise Contested("another call with this idempotency key came first", remedy="try again")
        claim = {
            "args_digest": call.args_digest,
            "call_id": call.call_id,
            "session_id": call.session.session_id,
            "tool": tool_of(permit),
            "state": CLAIMED,
            "until_s": self._clock.now_ns() // _SECOND_NS + _window_s(permit),
        }
        self._held[key] = _Held(call.args_digest)
        self._claims[call.call_id] = key
        put = Put(Table.IDEMPOTENCY, key, canonical(claim), expect=row.version if row else 0)
        return Promise(changes=(put,), body={"idempotency": key})

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        key = self._claims.get(permit.labelled.call.call_id)
        if key is None:
            return ()
        if isinstance(outcome, Failed) and not outcome.from_server:
            return (Delete(Table.IDEMPOTENCY, key),)  # nothing happened, so there is nothing to answer with
        return ()

    @override
    def concluded(self, permit: Permit, reply: Reply) -> None:
        self._let_go(permit)

    @override
    def lapsed(self, permit: Permit) -> None:
        self._let_go(permit)

    async def prune(self) -> int:
        """Forget keys that have long been spent; how many. Raises `AuditUnavailable`."""
        before_s = self._clock.now_ns() // _SECOND_NS - KEYS_KEPT_S
        count = 0
        for number, row in enumerate(self._store.scan(Table.IDEMPOTENCY), 1):
            if number % _LOOKED_AT == 0:
                await asyncio.sleep(0)
            if orjson.loads(row.body)["until_s"] < before_s and row.key not in self._held:
                put = Put(Table.IDEMPOTENCY, row.key, row.body, expect=row.version)
                with suppress(Conflict):  # used at this moment
                    await self._store.commit([], [put, Delete(Table.IDEMPOTENCY, row.key)])
                    count += 1
        return count

    def _became(self, claim: Mapping[str, Any]) -> str:
        found = self._store.find(kind=EventKind.CALL_OUTCOME.value, call_id=claim["call_id"], limit=1)
        if not found:
            return RUNNING  # in another process, or its outcome could not be written down yet
        return UNKNOWN if orjson.loads(found[0].body)["status"] in _CUT_OFF else DONE

    # --- what a retry finds -----------------------------------------------------------------------

    async def _wait(self, key: str, call: Call) -> None:
        """Until no call of this process holds the key. Raises `in_progress` when that takes too long."""
        try:
            async with asyncio.timeout(self.wait_s):
                while (held := self._held.get(key)) is not None:
                    _same(held.args_digest, call)
                    _ = await held.ended.wait()
        except TimeoutError as error:
            raise _in_progress() from error

    async def _kept(self, claim: Mapping[str, Any], call: Call) -> Reply:
        if self._clock.now_ns() // _SECOND_NS <= claim["until_s"]:
            reply = await self._replay(call, claim["call_id"], by="idempotency_key")
            if reply is not None:
                return reply
        raise Rejected(
            f"this idempotency key was used by the call {claim['call_id']}, whose result is gone",
            code=ReasonCode.KEY_REUSED,
            remedy="it is not run again; for a new effect use a new key",
            details=(("call_id", claim["call_id"]),),
        )

    async def _looked_into(self, key: str, row: Row, claim: dict[str, Any], call: Call) -> str:
        """What a probe makes of an unknown outcome: its new state. Other retries wait meanwhile."""
        if self.corridor is None or self._probe.declared(claim["call_id"]) is None:
            return UNKNOWN
        async with self._holding(key, call):
            verdict = await self._probe(claim["call_id"], self.corridor, key=call.idempotency_key)
            if verdict is None:
                return UNKNOWN
            state = HAPPENED if verdict else FREE
            put = Put(Table.IDEMPOTENCY, key, canonical({**claim, "state": state}), expect=row.version)
            try:
                await self._store.commit([], [put])
            except Conflict as conflict:
                raise Contested("another retry was faster", remedy="try again") from conflict
            return state

    @asynccontextmanager
    async def _holding(self, key: str, call: Call) -> AsyncIterator[None]:
        if key in self._held:
            raise Contested("another retry was faster", remedy="try again")
        held = self._held[key] = _Held(call.args_digest)
        try:
            yield
        finally:
            del self._held[key]
            held.ended.set()

    # --- keys -------------------------------------------------------------------------------------

    def _key(self, call: Call) -> str:
        who = call.session.principal
        scope = [who.user, who.agent, who.credential, named(call), call.idempotency_key]
        return self._store.digest(canonical(scope))

    def _let_go(self, permit: Permit) -> None:
        key = self._claims.pop(permit.labelled.call.call_id, None)
        if key is not None:
            self._held.pop(key).ended.set()


def _window_s(permit: Permit) -> int:
    version = permit.labelled.resolved.version
    undo = version.manifest.undo if version else None
    return undo.compensate.window_s if undo is not None and undo.compensate is not None else UNDO_WINDOW_S


def _same(args_digest: str, call: Call) -> None:
    if args_digest != call.args_digest:
        raise Rejected(
            "this idempotency key was used for a call of this tool with other arguments",
            code=ReasonCode.KEY_REUSED,
            remedy="send the arguments of then for a retry, or a new key for a new effect",
        )


def _in_progress() -> GatewayError:
    return GatewayError(
        "the first call with this idempotency key is still running",
        code=ReasonCode.IN_PROGRESS,
        remedy="send the same call with the same key again later: you get its result, and it runs once",
        details=(("retry_after_s", "5"),),
    )


def _happened(call_id: str) -> ToolFailed:
    return ToolFailed(
        "the effect of this call happened, which a probe has confirmed; its answer was lost",
        code=ReasonCode.UNKNOWN_OUTCOME,
        remedy="do not repeat it; read the result from where it was written",
        details=(("call_id", call_id), ("happened", "yes")),
    )


def _unknown(call_id: str) -> ToolFailed:
    return ToolFailed(
        "whether this call happened is not known: it was cut off while it ran, so it is not run again",
        code=ReasonCode.UNKNOWN_OUTCOME,
        remedy="look whether its effect is there; only if it is not, call again with a new idempotency key",
        details=(("call_id", call_id), ("happened", "unknown")),
    )
