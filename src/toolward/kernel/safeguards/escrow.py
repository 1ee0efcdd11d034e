"""Escrow: an irreversible effect is held, as it was asked, so that it can still be called off.

The row's key is a digest of what is held: caller, session, tool, arguments, idempotency key. So a retry finds
the same row whoever brings it, and the row is used up by compare-and-swap in the commit of the intent.

    held ──time, seal or person──► due ──its intent──► used
      └──cancelled                  └──refused: policy, pin or stop of then said no
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from typing_extensions import override

from toolward.config.limits import KEPT_RESULT_S
from toolward.errors import Contested, Denied, GatewayError, Pending, Reason, ReasonCode
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import NO_PROMISE, Clause, Promise, named
from toolward.kernel.replay import Replay
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.suspended import suspended_to_json
from toolward.model.call import Call, Failed, RawOutcome, Reply
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.model.tool import Effect
from toolward.model.undo import Escrow
from toolward.ports.clock import Clock
from toolward.ports.store import Change, Conflict, Delete, Put, Row, Store, Table
from toolward.rules.canonical import canonical

HELD, DUE, USED, CANCELLED, REFUSED = "held", "due", "used", "cancelled", "refused"
_SECOND_NS: Final = 1_000_000_000
_ID_CHARS: Final = 32


class EscrowClause(Clause):
    """Holds what its manifest says is to be held, and lets what is due go on."""

    def __init__(self, store: Store, auditor: Auditor, replay: Replay, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._replay = replay
        self._clock = clock
        self.check_still: Callable[[str], None] = lambda _session_id: None  # raises while it is rolled back
        self.on_held: Callable[[str, int], None] = lambda _id, _release_ns: None
        self._tools = {orjson.loads(row.body)["tool"] for row in store.scan(Table.ESCROW)}
        self._going: dict[str, dict[str, Any]] = {}  # call_id -> the row that it used up

    # --- the clause -------------------------------------------------------------------------------

    @override
    def concerns(self, call: Call) -> bool:
        return bool(self._tools) and not call.released and named(call) in self._tools

    @override
    async def answer(self, call: Call) -> Reply | None:
        """A retry of what was released gets its result; of what was called off, the reason."""
        tool = named(call)
        row = self._store.get(Table.ESCROW, self._id(call, tool))
        held = orjson.loads(row.body) if row else {}
        if not held or held["state"] in (HELD, DUE) or not self._is_kept(held):
            return None
        if held["state"] == USED:
            reply = await self._replay(call, held["call_id"], by="escrow")
            if reply is None:
                raise _still_running(held)
            return reply
        raise _ended(held)

    @override
    def binds(self, permit: Permit) -> bool:
        version = permit.labelled.resolved.version
        return version is not None and version.manifest.undo is not None

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        call, version = permit.labelled.call, permit.labelled.resolved.version
        escrow = version.manifest.undo.escrow if version and version.manifest.undo else None
        if version is None or escrow is None or not _holds(escrow, version.manifest.effect) or call.undo_of:
            return NO_PROMISE
        row = self._store.get(Table.ESCROW, self._id(call, version.key))
        held = orjson.loads(row.body) if row else {}
        if row is None or (held["state"] in (USED, CANCELLED, REFUSED) and not self._is_kept(held)):
            self.check_still(call.session.session_id)  # what it holds was called off: no more comes to that
            raise await self._hold(permit, escrow, row, version.key)
        if held["state"] == HELD:
            raise _waits(held)
        if held["state"] != DUE:
            if call.released == row.key:
                raise Denied("it was released or ended already", code=ReasonCode.NOT_PENDING)
            raise Contested("the held call moved on meanwhile", remedy="try again")
        used = {**held, "state": USED, "call_id": call.call_id, "ended_ns": str(self._clock.now_ns())}
        self._going[call.call_id] = used
        put = Put(Table.ESCROW, row.key, canonical(used), expect=row.version)
        return Promise(changes=(put,), body={"escrow": row.key})

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        used = self._going.get(permit.labelled.call.call_id)
        if used is None:
            return ()
        if isinstance(outcome, Failed) and not outcome.from_server:
            return (Delete(Table.ESCROW, used["escrow_id"]),)  # it did not run: asked again, it is held again
        ended = {**used, "ended_ns": str(self._clock.now_ns())}
        return (Put(Table.ESCROW, used["escrow_id"], canonical(ended)),)

    @override
    def concluded(self, permit: Permit, reply: Reply) -> None:
        self.lapsed(permit)

    @override
    def lapsed(self, permit: Permit) -> None:
        _ = self._going.pop(permit.labelled.call.call_id, None)

    # --- inside -----------------------------------------------------------------------------------

    async def _hold(self, permit: Permit, escrow: Escrow, row: Row | None, tool: str) -> Pending:
        """Write it down, with its arguments as payload; returns what to tell the agent."""
        call, now = permit.labelled.call, self._clock.now_ns()
        escrow_id = self._id(call, tool)
        release_ns = now + escrow.delay_s * _SECOND_NS if escrow.delay_s else 0
        held = {
            **suspended_to_json(call),
            "escrow_id": escrow_id,
            "tool": tool,
            "state": HELD,
            "held_call": call.call_id,
            "held_ns": str(now),
            "release_ns": str(release_ns),
            "until_seal": escrow.until_seal,
            "step": permit.labelled.facts.step,
        }
        event = self._auditor.event(
            EventKind.ESCROW_HELD,
            call_id=call.call_id,
            session_id=call.session.session_id,
            tool=tool,
            body={
                "escrow_id": escrow_id,
                "principal": call.session.principal.as_json(),
                "args_digest": call.args_digest,
                "release_ns": str(release_ns),
                "until_seal": escrow.until_seal,
                "policies": list(permit.policies),
                "door": call.door,
            },
            payloads={"arguments": call.arguments_json},
            digests={"arguments": call.args_digest},
        )
        put = Put(Table.ESCROW, escrow_id, canonical(held), expect=row.version if row else 0)
        try:
            await self._store.commit([event], [put])
        except Conflict as conflict:
            raise Contested("the same call was held at the same time", remedy="try again") from conflict
        self._tools.add(tool)
        self.on_held(escrow_id, release_ns)
        return _waits(held)

    def _id(self, call: Call, tool: str) -> str:
        who = call.session.principal
        bound = [who.user, who.agent, who.credential, call.session.session_id, tool, call.args_digest]
        digest = self._store.digest(canonical([*bound, call.idempotency_key]))
        return f"esc_{digest.rpartition(':')[2][:_ID_CHARS]}"

    def _is_kept(self, held: dict[str, Any]) -> bool:
        """Whether a retry still gets its answer; the same call after that is a new one."""
        return self._clock.now_ns() - int(held["ended_ns"]) <= KEPT_RESULT_S * _SECOND_NS


def _holds(escrow: Escrow, effect: Effect) -> bool:
    return effect is Effect.IRREVERSIBLE and (escrow.until_seal or escrow.delay_s > 0)


def _waits(held: dict[str, Any]) -> Pending:
    release_ns = int(held["release_ns"])
    ways = [f"at {_utc(release_ns)}"] if release_ns else []
    ways += ["when this session is sealed"] if held["until_seal"] else []
    details = [("escrow_id", str(held["escrow_id"]))]
    if release_ns:
        details.append(("release_at", _utc(release_ns)))
    return Pending(
        f"this effect can not be undone, so it is held: it happens {' or '.join(ways)} unless called off",
        code=ReasonCode.HELD_IN_ESCROW,
        remedy="go on with other work; the same call again later gets its result, and does nothing twice",
        details=tuple(details),
    )


def _ended(held: dict[str, Any]) -> Denied:
    if held["state"] == CANCELLED:
        return Denied(
            f"this call was held and then called off by {held['by']}: {held['why']}",
            code=ReasonCode.ESCROW_CANCELLED,
            remedy="do not repeat it; ask the user what is wanted instead",
            details=(("escrow_id", str(held["escrow_id"])),),
        )
    reason = Reason(**{**held["reason"], "code": ReasonCode(held["reason"]["code"])})
    return Denied(
        f"this call was held, and refused when it was to go on: {reason.text}",
        code=reason.code,
        remedy=reason.remedy,
        details=(("escrow_id", str(held["escrow_id"])),),
    )


def _still_running(held: dict[str, Any]) -> GatewayError:
    return GatewayError(
        "this call was held and is running now",
        code=ReasonCode.IN_PROGRESS,
        remedy="send the same call again later: you get its result, and it runs once",
        details=(("escrow_id", str(held["escrow_id"])), ("retry_after_s", "5")),
    )


def _utc(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // _SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
