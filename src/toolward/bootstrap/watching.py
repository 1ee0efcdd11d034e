"""What watches beside the calls, out of its parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from toolward.bootstrap.machine import Machine
from toolward.config.ward import Ward
from toolward.config.watching import OnDrift
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.registry.behaviour import Behaviour
from toolward.kernel.registry.registry import Registry
from toolward.kernel.registry.results import ResultWatch, Sampling
from toolward.kernel.registry.sightings import Sightings
from toolward.kernel.registry.watching import Watching
from toolward.kernel.tasks import Background


def make_watching(  # noqa: PLR0913 -- one for each thing it stands on
    machine: Machine,
    auditor: Auditor,
    registry: Registry,
    incidents: Incidents,
    *,
    background: Background,
    ward: Callable[[], Ward],
    repin: Callable[[], Awaitable[None]],
) -> Watching:
    """`ward` gives the files as they were last read, `repin` puts changed pins in force."""

    def sampling() -> Sampling:
        said = ward().config.watch
        return Sampling(
            baseline=said.results_baseline,
            every=said.results_every,
            quarantine=said.on_result_drift is OnDrift.QUARANTINE,
        )

    return Watching(
        behaviour=Behaviour(
            machine.store,
            auditor,
            registry,
            clock=machine.clock,
            contracts=lambda: ward().contracts,
            on_change=repin,
        ),
        results=ResultWatch(
            machine.store,
            auditor,
            registry,
            incidents,
            clock=machine.clock,
            background=background,
            sampling=sampling,
            on_change=repin,
        ),
        sightings=Sightings(machine.store, background, clock=machine.clock, gone=registry.findings.gone),
    )
