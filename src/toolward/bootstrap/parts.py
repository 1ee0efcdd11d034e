"""The parts of the corridor, wired: what each needs of the others, and nothing that can wait for a start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from toolward.bootstrap.machine import Machine
from toolward.bootstrap.resilience import make_resilience
from toolward.bootstrap.rollback import class_check, make_journal
from toolward.bootstrap.watching import make_watching
from toolward.catalogue import Catalogue
from toolward.config.ward import Ward
from toolward.errors import ToolwardError
from toolward.kernel.approvals.approvals import Approvals, make_approvals
from toolward.kernel.approvals.ground import Ground
from toolward.kernel.approvals.people import People
from toolward.kernel.audit import Auditor
from toolward.kernel.cages.hints import CageHints
from toolward.kernel.clauses import Clauses
from toolward.kernel.discovery.discovery import Changed, Discovery
from toolward.kernel.face.answers import Answers
from toolward.kernel.face.catalogue import ToolCatalogue
from toolward.kernel.handles import Handles
from toolward.kernel.incidents import Incidents
from toolward.kernel.objectives.pins import ObjectivePins
from toolward.kernel.parts import Parts
from toolward.kernel.promotion.canaries import Canaries
from toolward.kernel.promotion.promotions import Promotions
from toolward.kernel.refusal import Refuse
from toolward.kernel.registry.drift import DriftWatch, Look
from toolward.kernel.registry.observing import ManifestOf
from toolward.kernel.registry.registry import Registry
from toolward.kernel.registry.watching import Watching
from toolward.kernel.replay import Replay
from toolward.kernel.resilience.resilience import Resilience
from toolward.kernel.resilience.turns import Turns
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.rollback.journal import Journal
from toolward.kernel.rollback.rows import undo_pins
from toolward.kernel.safeguards.safeguards import make_safeguards
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.admit import Admit
from toolward.kernel.stages.authorize import Authorize
from toolward.kernel.stages.execute import Execute
from toolward.kernel.stages.intend import Intend
from toolward.kernel.stages.label import Label
from toolward.kernel.stages.resolve import Resolve
from toolward.kernel.stages.settle import Settle
from toolward.kernel.tasks import Background
from toolward.kernel.upstream.events import UpstreamNews
from toolward.kernel.upstream.notices import Notices
from toolward.kernel.upstream.requests import GovernRequests
from toolward.model.approval import Approval
from toolward.model.call import LabelledCall
from toolward.model.decision import Deny
from toolward.model.found import Source
from toolward.model.gate import CanaryBounds
from toolward.model.incident import Incident
from toolward.model.tool import Channel
from toolward.ports.upstream import UpstreamHooks, Upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsMaker:
    """Makes the parts of one house; what it calls back is the house's, once it stands."""

    machine: Machine
    catalogue: Catalogue
    ward: Callable[[], Ward]
    current: Callable[[], ActiveRevision]
    sources: Callable[[], Mapping[str, Source]]
    manifest_of: ManifestOf
    repin: Callable[[], Awaitable[None]]
    take_found: Changed
    canary_bounds: Callable[[Channel], CanaryBounds]
    incident: Callable[[Incident], None]
    rolls_back: Callable[[LabelledCall, Deny], None]
    resume: Callable[[Ground, Approval], None]  # an approved call is to run by itself

    def make(
        self, background: Background, on_progress: Callable[[str], None] | None
    ) -> tuple[Parts, Journal]:
        """All of them, and the journal, which rollbacks need too."""
        store, clock, ids = self.machine.store, self.machine.clock, self.machine.ids
        auditor = Auditor(store, clock=clock, ids=ids)
        incidents = Incidents(store, auditor, clock=clock, ids=ids, on_open=self.incident)
        registry = self._registry(auditor, incidents)
        sessions = Sessions(store, auditor, clock=clock, ids=ids)
        hooks = UpstreamHooks(on_progress=on_progress)
        upstreams = self.machine.upstreams(hooks)
        notices = Notices()
        turns = Turns(store, auditor, incidents, clock=clock, background=background)
        resilience = make_resilience(self.machine, upstreams, turns, background, self.ward().resilience)
        watching = self._watching(auditor, registry, incidents, background)
        discovery = self._discovery(auditor, background)
        drift = self._made_drift(registry, upstreams, resilience, watching, discovery)
        admit = Admit(auditor, clock=clock, ids=ids, handles=Handles(store))
        label = Label(sessions)
        safeguards = make_safeguards(
            store, auditor, sessions=sessions, registry=registry, incidents=incidents, clock=clock
        )
        approvals = self._approvals(auditor, incidents, sessions, safeguards.replay)
        journal = make_journal(self.machine, registry, sessions, self.repin)
        own = Answers(ToolCatalogue(registry), discovery, self.take_found, sessions)
        clauses = Clauses((*safeguards.clauses, approvals.clause, *discovery.clauses(), journal))
        settle = self._settle(auditor, sessions, clauses, background)
        refuse = Refuse(store, auditor)
        hooks.on_request = requests = GovernRequests(
            admit=admit, label=label, settle=settle, refuse=refuse, ids=ids, revision=self.current
        )
        hooks.events = UpstreamNews(drift, notices)
        parts = Parts(
            store=store,
            auditor=auditor,
            ids=ids,
            sessions=sessions,
            registry=registry,
            objectives=ObjectivePins(store, auditor, clock=clock),
            incidents=incidents,
            approvals=approvals,
            drift=drift,
            discovery=discovery,
            upstreams=upstreams,
            notices=notices,
            admit=admit,
            resolve=self._resolve(registry, drift, upstreams, sessions, resilience),
            label=label,
            authorize=Authorize(ids, approvals, self.rolls_back),
            intend=Intend(store, auditor, clauses),
            execute=Execute(resilience, own, registry, safeguards.stops),
            settle=settle,
            requests=requests,
            hints=CageHints(self.machine.refusals),
            promotions=Promotions(store, auditor, clock=clock),
            canaries=Canaries(registry, bounds=self.canary_bounds, repin=self.repin, background=background),
            resilience=resilience,
            safeguards=safeguards,
            watching=watching,
        )
        return parts, journal

    def _registry(self, auditor: Auditor, incidents: Incidents) -> Registry:
        store, clock = self.machine.store, self.machine.clock
        registry = Registry(
            store, auditor, incidents, clock=clock, channel=lambda: self.ward().config.channel
        )
        registry.check_class = class_check(store, self.catalogue, self.ward)
        return registry

    def _resolve(
        self,
        registry: Registry,
        drift: DriftWatch,
        upstreams: Upstreams,
        sessions: Sessions,
        resilience: Resilience,
    ) -> Resolve:
        return Resolve(
            registry,
            drift,
            upstreams,
            sessions=sessions,
            resilience=resilience,
            undo_pins=self._undo_pins,
        )

    def _undo_pins(self, call_id: str) -> Mapping[str, str]:
        return undo_pins(self.machine.store, call_id)

    def _settle(
        self, auditor: Auditor, sessions: Sessions, clauses: Clauses, background: Background
    ) -> Settle:
        return Settle(
            store=self.machine.store,
            auditor=auditor,
            sessions=sessions,
            secrets=self.machine.secrets,
            clock=self.machine.clock,
            background=background,
            clauses=clauses,
        )

    def _watching(
        self, auditor: Auditor, registry: Registry, incidents: Incidents, background: Background
    ) -> Watching:
        return make_watching(
            self.machine,
            auditor,
            registry,
            incidents,
            background=background,
            ward=self.ward,
            repin=self.repin,
        )

    def _made_drift(
        self,
        registry: Registry,
        upstreams: Upstreams,
        resilience: Resilience,
        watching: Watching,
        discovery: Discovery,
    ) -> DriftWatch:
        def looked(server: str, look: Look, error: ToolwardError | None) -> None:
            resilience.compared(server, error)
            watching.looked(server, look)

        return DriftWatch(
            registry,
            upstreams,
            clock=self.machine.clock,
            manifest_of=self.manifest_of,
            revision=self.current,
            on_change=self.repin,
            looked=looked,
            bounded=discovery.bounded,
        )

    def _discovery(self, auditor: Auditor, background: Background) -> Discovery:
        return Discovery(
            self.machine.store,
            auditor,
            self.machine.sources,
            clock=self.machine.clock,
            background=background,
            configured=self.sources,
        )

    def _approvals(
        self, auditor: Auditor, incidents: Incidents, sessions: Sessions, replay: Replay
    ) -> Approvals:
        store = self.machine.store
        ground = Ground(
            store=store,
            auditor=auditor,
            ids=self.machine.ids,
            clock=self.machine.clock,
            people=People(
                store, lambda: self.ward().config.roles, lambda: self.ward().config.approvals.webhooks
            ),
            settings=lambda: self.ward().config.approvals,
        )

        return make_approvals(ground, incidents, sessions, replay, lambda each: self.resume(ground, each))
