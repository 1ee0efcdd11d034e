"""Where tools of this machine run: a sandbox, and its ways out, for whoever starts them."""

from __future__ import annotations

from typing import Protocol

from toolward.model.capability import IsolationReport, Scope
from toolward.model.egress import Whose
from toolward.ports.sandbox import CagedProcess, CommandJob, Ended, Job


class Cages(Protocol):
    """Starts programs and functions in cages that hold exactly what a scope grants.

    MUST make the strongest cage that this host reaches, MUST refuse with `SandboxUnavailable` where it
    reaches none, and MUST NOT run anything outside one unless the ward names that danger. MUST let a cage
    out only to the destinations of its scope, and MUST tell of every connection under `whose`.
    """

    async def isolation(self, *, wasm: bool = False) -> IsolationReport:
        """What a cage is here, as tried on this host; tried once. `wasm`: what holds `WasmJob`s.

        Raises `SandboxUnavailable`.
        """
        ...

    async def start(self, command: CommandJob, scope: Scope, *, whose: Whose) -> CagedProcess:
        """Start a long-lived program. Raises as `Sandbox.start`."""
        ...

    async def run(self, job: Job, scope: Scope, *, whose: Whose) -> Ended:
        """Run one job to its end. Raises as `Sandbox.run`."""
        ...

    async def close(self) -> None:
        """End every cage."""
        ...
