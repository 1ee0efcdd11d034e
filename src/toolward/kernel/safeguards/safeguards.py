"""The safeguards of one gateway, made together: stops, idempotency keys, escrow and frontiers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from toolward.errors import Denied, Rejected
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import Clause
from toolward.kernel.incidents import Incidents
from toolward.kernel.registry.registry import Registry
from toolward.kernel.replay import Replay
from toolward.kernel.safeguards.escrow import EscrowClause
from toolward.kernel.safeguards.frontiers import Frontiers
from toolward.kernel.safeguards.once import Once
from toolward.kernel.safeguards.probe import Corridor, Probe
from toolward.kernel.safeguards.releases import Releases
from toolward.kernel.safeguards.seals import Seals
from toolward.kernel.sessions import Sessions
from toolward.kernel.stops import Stops
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Safeguards:
    """What stands beside every call, and what people and time do with it."""

    stops: Stops
    once: Once
    escrow: EscrowClause
    frontiers: Frontiers
    releases: Releases
    seals: Seals
    probe: Probe
    replay: Replay

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """In the order in which they are asked: what is stopped is not even looked up."""
        return (self.stops, self.once, self.escrow, self.frontiers)

    def attach(self, corridor: Corridor) -> None:
        """The way back into the corridor, once it stands."""
        self.once.corridor = corridor
        self.releases.perform = corridor.perform


@dataclass(frozen=True, slots=True)
class Settling:
    """What a rollback has to do with seals, escrow and frontiers."""

    safeguards: Safeguards

    def accepted(self, session_id: str) -> int:
        """The record up to which the session's work was sealed, so that it is not undone. -1 for none."""
        return self.safeguards.seals.sealed_index(session_id)

    async def begins(self, session_id: str, after: int, by: Principal) -> None:
        """What the session asked for after that record, and is still held, is called off."""
        releases = self.safeguards.releases
        for held in releases.pending(session_id):
            if held["record"] > after:
                with suppress(Rejected, Denied):  # it went out, or was called off, at this very moment
                    _ = await releases.cancel(held["escrow_id"], why="the session is rolled back", by=by)

    async def ended(self, session_id: str) -> None:
        """All of it was undone or may stay: its resources are others' again."""
        await self.safeguards.frontiers.release(session_id)


def make_safeguards(
    store: Store,
    auditor: Auditor,
    *,
    sessions: Sessions,
    registry: Registry,
    incidents: Incidents,
    clock: Clock,
) -> Safeguards:
    """All of them, each knowing what it needs of the others."""
    replay = Replay(store, auditor, sessions, registry)
    probe = Probe(store, auditor, registry)
    escrow = EscrowClause(store, auditor, replay, clock=clock)
    frontiers = Frontiers(store, clock=clock)
    releases = Releases(store, auditor, clock=clock)
    escrow.on_held = releases.note
    frontiers.on_release = releases.wake
    stops = Stops(store, auditor, incidents, clock=clock)
    stops.on_stop = frontiers.moved
    return Safeguards(
        stops=stops,
        once=Once(store, replay, probe, clock=clock),
        escrow=escrow,
        frontiers=frontiers,
        releases=releases,
        seals=Seals(store, auditor, sessions, frontiers, releases),
        probe=probe,
        replay=replay,
    )
