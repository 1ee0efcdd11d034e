"""What is looked at beside the calls: behaviour, results, and who is still there."""

from __future__ import annotations

from dataclasses import dataclass

from toolward.kernel.registry.behaviour import Behaviour
from toolward.kernel.registry.drift import Look
from toolward.kernel.registry.results import ResultWatch
from toolward.kernel.registry.sightings import Sightings


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """The three, and how comparisons reach them."""

    behaviour: Behaviour
    results: ResultWatch
    sightings: Sightings

    def looked(self, server: str, look: Look) -> None:
        """A server's definitions were compared, or could not be."""
        if look is Look.AWAY:
            self.sightings.away(server)
            return
        self.sightings.seen(server)
        if look is Look.CONNECTED:
            self.behaviour.connected(server)
