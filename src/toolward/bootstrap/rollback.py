"""The journal and the rollback engine, wired: the one stands in the corridor, the other walks it.

With them, what keeps the journal small and its promises honest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import orjson

from toolward.bootstrap.machine import Machine
from toolward.catalogue import Catalogue
from toolward.config.ward import Ward
from toolward.kernel.gateway import Gateway
from toolward.kernel.parts import Parts
from toolward.kernel.pruning import Pruning
from toolward.kernel.registry.registry import Registry
from toolward.kernel.rollback.asking import UndoCalls
from toolward.kernel.rollback.engine import Rollbacks
from toolward.kernel.rollback.journal import Fences, Journal
from toolward.kernel.rollback.proofs import check_proved
from toolward.kernel.rollback.pruning import prune
from toolward.kernel.rollback.undoing import Undoing
from toolward.kernel.safeguards.safeguards import Settling
from toolward.kernel.sessions import Sessions
from toolward.kernel.tasks import Background
from toolward.model.tool import ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.store import Store


def make_journal(
    machine: Machine, registry: Registry, sessions: Sessions, repin: Callable[[], Awaitable[None]]
) -> Journal:
    """The clause. Its own calls find the gateway once `make_rollbacks` has told them."""
    return Journal(
        machine.store,
        registry,
        machine.images,
        UndoCalls(sessions, machine.store),
        clock=machine.clock,
        fences=Fences(),
        repin=repin,
    )


def make_rollbacks(
    machine: Machine, parts: Parts, journal: Journal, gateway: Gateway, background: Background
) -> Rollbacks:
    """The engine over a gateway that stands."""
    journal.ask.perform = gateway.perform
    parts.safeguards.escrow.check_still = partial(journal.fences.check, resources=())
    undoing = Undoing(parts.store, parts.auditor, parts.registry, machine.images, journal.ask, machine.clock)
    return Rollbacks(
        parts.store,
        parts.auditor,
        parts.sessions,
        journal,
        undoing,
        clock=machine.clock,
        ids=machine.ids,
        background=background,
        settling=Settling(parts.safeguards),
    )


def make_pruning(parts: Parts, clock: Clock) -> Pruning:
    """All that is pruned."""

    async def journal() -> int:
        return await prune(parts.store, clock.now_ns())

    return Pruning((parts.approvals.prune, parts.safeguards.once.prune, journal), clock)


def class_check(
    store: Store, catalogue: Catalogue, ward: Callable[[], Ward]
) -> Callable[[ToolVersion], None]:
    """What the registry asks before it admits a version; nothing is refused where the ward wants no proof.

    What the catalogue says, and the ward left as it was, was proved before it shipped.
    """

    def check(version: ToolVersion) -> None:
        if not ward().config.rollback.require_proof:
            return
        binding = next((each for each in ward().bindings if each.server == version.server), None)
        definition, said = orjson.loads(version.definition), version.manifest
        shipped = catalogue.match_definition(definition, binding=binding) if binding is not None else None
        if shipped is None or (shipped.manifest.effect, shipped.manifest.undo) != (said.effect, said.undo):
            check_proved(store, version)

    return check
