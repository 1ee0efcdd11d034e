"""Stands around the adapters: whether and when an execution is tried, and what its end says of the server.

A call that nothing is wrong with costs one lookup and some counting. It never retries what may have had an
effect, and undoing is never refused for a circuit: it is how one gets out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from toolward.errors import CircuitOpen, Overloaded, ToolFailed, ToolwardError
from toolward.kernel.refusal import UNAVAILABLE, not_run
from toolward.kernel.resilience.breaker import EVERYBODY, Breaker
from toolward.kernel.resilience.lanes import Lane, ServerLane
from toolward.kernel.resilience.queueing import Queue
from toolward.kernel.resilience.refusing import circuit_open
from toolward.kernel.resilience.turns import Turns
from toolward.kernel.resilience.view import row
from toolward.model.call import OWN_ACTIONS, Action, Call, Intent, RawOutcome, ResolvedCall, Returned
from toolward.model.permit import Permit
from toolward.model.resilience import Phase, ResilienceSettings
from toolward.model.tool import CallScope
from toolward.ports.clock import Clock
from toolward.ports.upstream import Exchange, Upstreams
from toolward.rules.resilience.circuit import wait_s
from toolward.rules.resilience.retrying import backoff_s, earned, left, may_retry, spend
from toolward.rules.resilience.weighing import Says, is_outage, says

_MS = 1_000_000


@dataclass(eq=False, slots=True)
class _Visit:
    """One call on its way through a lane."""

    lane: Lane
    caller: str
    permit: Permit
    began_ns: int
    trial: bool = False


class Resilience:
    """`execute` as the port `Upstreams` has it, guarded by circuits, bulkheads and retries."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        settings: ResilienceSettings,
        clock: Clock,
        queue: Queue,
        turns: Turns,
        chance: Callable[[], float],
    ) -> None:
        """`chance` gives numbers from 0 to 1."""
        self.settings = settings
        self._upstreams = upstreams
        self._clock = clock
        self._queue = queue
        self._turns = turns
        self._chance = chance
        self._servers: dict[str, ServerLane] = {}
        self._lanes: dict[str, Lane] = {}
        self._breakers: dict[str, Breaker] = {}  # by key; empty while nothing fails

    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """As the port says; a `Failed` of ours where it was not let through, and nothing ran."""
        resolved = permit.labelled.resolved
        call = resolved.call
        lane, caller = self._lane(resolved), call.session.principal.credential
        failing = self._breakers
        if (failing and (lane.key in failing or lane.server.key in failing)) or not lane.is_calm():
            return await self._with_care(lane, permit, intent, exchange)
        lane.enter(caller)
        try:
            outcome = await self._upstreams.execute(permit, intent, exchange)
            if type(outcome) is Returned and not failing:
                return outcome
            visit = _Visit(lane, caller, permit, call.received_ns)
            return await self._weighed(visit, outcome, intent, exchange)
        finally:
            lane.leave(caller)

    def check(self, call: Call, server: str, name: str) -> None:
        """Before anything is asked of people or of the server. Raises `CircuitOpen`.

        The list of tools is answered from the pins, whatever its server does.
        """
        if not self._breakers or call.undo_of or call.action is Action.LIST_TOOLS:
            return
        what = name if call.action is Action.CALL_TOOL else call.action.value
        refusal = self._open(call.session.principal.credential, server, f"{server}/{what}")
        if refusal is not None:
            raise refusal

    def check_room(self, permit: Permit) -> None:
        """Before its intent is written. Raises `Overloaded` where no place is free, and none to wait in."""
        resolved = permit.labelled.resolved
        call = resolved.call
        if call.action not in OWN_ACTIONS and not (lane := self._lane(resolved)).is_calm():
            first = bool(call.undo_of or permit.approvals)
            _ = self._queue.check(lane, call.session.principal.credential, first=first)

    def compared(self, server: str, error: ToolwardError | None) -> None:
        """The definitions of a server were read, or could not be: what fails there is everybody's matter."""
        breaker = self._breakers.get(server)
        failed = isinstance(error, ToolFailed) and is_outage(error.reason.code)
        if failed or (breaker is not None and error is None):
            breaker = self._breaker(server)
            now_ns = self._clock.monotonic_ns()
            trial = failed and breaker.refusing(EVERYBODY, now_ns) is None and breaker.begin_trial(EVERYBODY)
            self._end(breaker, EVERYBODY, failed=failed, trial=trial)

    def adopt(self, settings: ResilienceSettings) -> None:
        """Put other limits in force; what runs and what is known of servers stays."""
        self.settings = settings
        for server in self._servers.values():
            server.bound(settings.of(server.key))
        for lane in self._lanes.values():
            lane.bound(settings.of(lane.key))

    async def begin(self) -> None:
        """At the start of a process. Raises `AuditUnavailable`."""
        await self._turns.begin()

    async def close(self, key: str, by: str) -> int:
        """Close the circuits of a server or tool on a person's word; how many. Raises `AuditUnavailable`."""
        breaker = self._breakers.pop(key, None)
        turns = breaker.close(by) if breaker is not None else []
        await self._turns.write(turns)
        return len(turns)

    def shown(self) -> list[dict[str, Any]]:
        """Every server and tool that was called or failed in this process, in order."""
        now_ns = self._clock.monotonic_ns()
        lanes: dict[str, Lane | ServerLane] = {**self._servers, **self._lanes}
        return [
            row(
                key,
                limits=self.settings.of(key),
                lane=lanes.get(key),
                breaker=self._breakers.get(key),
                now_ns=now_ns,
            )
            for key in sorted({*lanes, *self._breakers})
        ]

    def open_circuits(self) -> int:
        """Circuits that are not closed."""
        return sum(
            circuit.phase is not Phase.CLOSED
            for breaker in self._breakers.values()
            for circuit in breaker.circuits.values()
        )

    # --- parts

    def _lane(self, resolved: ResolvedCall) -> Lane:
        """The lane of a tool; what names no tool has one for each action."""
        version = resolved.version
        key = f"{resolved.server}/{resolved.call.action.value}" if version is None else version.key
        lane = self._lanes.get(key)
        if lane is None:
            server = self._servers.get(resolved.server)
            if server is None:
                limits = self.settings.of(resolved.server)
                server = self._servers[resolved.server] = ServerLane(resolved.server, limits)
            lane = self._lanes[key] = Lane(key, self.settings.of(key), server)
        return lane

    async def _with_care(self, lane: Lane, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """Where something fails, or much is in flight."""
        call = permit.labelled.call
        visit = _Visit(lane, call.session.principal.credential, permit, call.received_ns)
        undoes = bool(call.undo_of)
        keys = (lane.server.key, lane.key)
        if not undoes and (refusal := self._open(visit.caller, *keys)) is not None:
            return not_run(refusal.reason, UNAVAILABLE)
        try:
            await self._queue.enter(lane, visit.caller, first=undoes or bool(permit.approvals))
        except Overloaded as full:
            return not_run(full.reason, UNAVAILABLE)
        try:
            if not undoes:
                if (refusal := self._open(visit.caller, *keys)) is not None:  # since it waited
                    return not_run(refusal.reason, UNAVAILABLE)
                for breaker in filter(None, map(self._breakers.get, keys)):
                    visit.trial |= breaker.begin_trial(visit.caller)
            outcome = await self._upstreams.execute(permit, intent, exchange)
            return await self._weighed(visit, outcome, intent, exchange)
        finally:
            if visit.trial:
                self._end_trial(visit)
            lane.leave(visit.caller)

    async def _weighed(
        self, visit: _Visit, outcome: RawOutcome, intent: Intent, exchange: Exchange
    ) -> RawOutcome:
        """Take note of how the call ended, and try it again where that is allowed."""
        retries = 0
        self._note(visit, outcome)
        while retries < visit.lane.limits.retries and self._may_retry(visit, outcome):
            retries += 1
            await self._clock.sleep(backoff_s(retries, self._chance()))
            outcome = await self._upstreams.execute(visit.permit, intent, exchange)
            self._note(visit, outcome)
        return structs.replace(outcome, retries=retries) if retries else outcome

    def _may_retry(self, visit: _Visit, outcome: RawOutcome) -> bool:
        """Whether effect, time, circuit and budget allow one more try."""
        version = visit.permit.labelled.resolved.version
        call, lane, now_ns = visit.permit.labelled.call, visit.lane, self._clock.monotonic_ns()
        if version is None or not may_retry(outcome, version.manifest, keyed=bool(call.idempotency_key)):
            return False
        if now_ns - visit.began_ns >= version.manifest.timeout_ms * _MS:
            return False
        for key in (lane.server.key, lane.key):
            breaker = self._breakers.get(key)
            if breaker is not None and any(
                circuit.phase is not Phase.CLOSED for circuit in breaker.circuits.values()
            ):
                return False
        server = lane.server
        server.budget = earned(
            server.budget, calls=server.calls, now_ns=now_ns, percent=server.limits.retry_percent
        )
        if not left(server.budget):
            return False
        server.budget = spend(server.budget)
        return True

    def _note(self, visit: _Visit, outcome: RawOutcome) -> None:
        resolved = visit.permit.labelled.resolved
        what, lane = says(outcome, alone=resolved.scope is CallScope.CALL), visit.lane
        if what is Says.NOTHING:
            return
        failed = {lane.key: what is not Says.WELL, lane.server.key: what is Says.SERVER_FAILED}
        for key, it_failed in failed.items():
            if it_failed or key in self._breakers:
                self._end(self._breaker(key), visit.caller, failed=it_failed, trial=visit.trial)
        visit.trial = False

    def _end(self, breaker: Breaker, caller: str, *, failed: bool, trial: bool) -> None:
        turns = breaker.ended(
            caller,
            failed=failed,
            trial=trial,
            now_ns=self._clock.monotonic_ns(),
            limits=self.settings.of(breaker.key),
            chance=self._chance(),
        )
        if not breaker.circuits:
            del self._breakers[breaker.key]
        self._turns(turns)

    def _end_trial(self, visit: _Visit) -> None:
        for key in (visit.lane.server.key, visit.lane.key):
            if (breaker := self._breakers.get(key)) is not None:
                breaker.end_trial(visit.caller, self._clock.monotonic_ns())

    def _breaker(self, key: str) -> Breaker:
        found = self._breakers.get(key)
        if found is None:
            found = self._breakers[key] = Breaker(key)
        return found

    def _open(self, caller: str, server: str, tool: str) -> CircuitOpen | None:
        """The refusal, where a circuit keeps this caller out."""
        now_ns = self._clock.monotonic_ns()
        for breaker in filter(None, map(self._breakers.get, (server, tool))):
            if (found := breaker.refusing(caller, now_ns)) is not None:
                whom, circuit = found
                return circuit_open(
                    breaker.key,
                    alone=bool(whom),
                    wait_s=wait_s(circuit, now_ns),
                    tool=tool,
                    fallback=self.settings.fallbacks.get(tool, ""),
                )
        return None
