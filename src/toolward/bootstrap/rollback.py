"""The journal and the rollback engine, wired: the one stands in the corridor, the other walks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from toolward.bootstrap.machine import Machine
from toolward.kernel.gateway import Gateway
from toolward.kernel.parts import Parts
from toolward.kernel.registry.registry import Registry
from toolward.kernel.rollback.asking import UndoCalls
from toolward.kernel.rollback.engine import Rollbacks
from toolward.kernel.rollback.journal import Fences, Journal
from toolward.kernel.rollback.undoing import Undoing
from toolward.kernel.safeguards.safeguards import Settling
from toolward.kernel.sessions import Sessions
from toolward.kernel.tasks import Background


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
