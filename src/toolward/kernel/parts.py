"""What the corridor is made of, assembled once by `bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass

from toolward.kernel.approvals.approvals import Approvals
from toolward.kernel.audit import Auditor
from toolward.kernel.cages.hints import CageHints
from toolward.kernel.discovery.discovery import Discovery
from toolward.kernel.incidents import Incidents
from toolward.kernel.objectives.pins import ObjectivePins
from toolward.kernel.promotion.canaries import Canaries
from toolward.kernel.promotion.promotions import Promotions
from toolward.kernel.promotion.shadows import Shadows
from toolward.kernel.registry.drift import DriftWatch
from toolward.kernel.registry.registry import Registry
from toolward.kernel.registry.watching import Watching
from toolward.kernel.resilience.resilience import Resilience
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.safeguards.safeguards import Safeguards
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.admit import Admit
from toolward.kernel.stages.authorize import Authorize
from toolward.kernel.stages.execute import Execute
from toolward.kernel.stages.intend import Intend
from toolward.kernel.stages.label import Label
from toolward.kernel.stages.resolve import Resolve
from toolward.kernel.stages.settle import Settle
from toolward.kernel.upstream.notices import Notices
from toolward.kernel.upstream.requests import GovernRequests
from toolward.model.call import Era
from toolward.ports.ids import Ids
from toolward.ports.store import Store
from toolward.ports.upstream import ServerDescription, Upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The stages that hold state, and what they share."""

    store: Store
    auditor: Auditor
    ids: Ids
    sessions: Sessions
    registry: Registry
    objectives: ObjectivePins
    incidents: Incidents
    approvals: Approvals
    drift: DriftWatch
    discovery: Discovery
    upstreams: Upstreams
    notices: Notices
    admit: Admit
    resolve: Resolve
    label: Label
    authorize: Authorize
    intend: Intend
    execute: Execute
    settle: Settle
    requests: GovernRequests
    hints: CageHints
    canaries: Canaries
    shadows: Shadows
    promotions: Promotions
    resilience: Resilience
    safeguards: Safeguards
    watching: Watching

    def drift_union(self, revision: ActiveRevision) -> ServerDescription:
        """The description of all servers together: every capability that one of them has."""
        capabilities: dict[str, object] = {"tools": {"listChanged": True}}
        for server in revision.bindings:
            found = self.drift.description(server)
            for name, value in (found.capabilities if found else {}).items():
                if name in ("resources", "prompts", "completions"):
                    capabilities.setdefault(name, value)
        return ServerDescription(
            server="", eras=(Era.HANDSHAKE, Era.STATELESS), info={}, capabilities=capabilities
        )
