"""What stands around the adapters, on this machine's clock and store."""

from __future__ import annotations

from typing import Final

from toolward.bootstrap.machine import Machine
from toolward.kernel.resilience.queueing import Queue
from toolward.kernel.resilience.resilience import Resilience
from toolward.kernel.resilience.turns import Turns
from toolward.kernel.tasks import Background
from toolward.model.resilience import ResilienceSettings
from toolward.ports.upstream import Upstreams

_TAIL: Final = 8
"""Hexadecimal digits at the end of an identifier, which are chance."""


def make_resilience(
    machine: Machine,
    upstreams: Upstreams,
    turns: Turns,
    background: Background,
    settings: ResilienceSettings,
) -> Resilience:
    """The guard around `upstreams`."""
    return Resilience(
        upstreams,
        settings=settings,
        clock=machine.clock,
        queue=Queue(clock=machine.clock, background=background),
        turns=turns,
        chance=lambda: int(machine.ids.new()[-_TAIL:], 16) / 16**_TAIL,
    )
