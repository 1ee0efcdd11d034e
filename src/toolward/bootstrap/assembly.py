"""One gateway out of its parts, whatever the store and the upstreams are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolward.adapters.identity import KeyIdentity
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.bootstrap.machine import Machine
from toolward.bootstrap.parts import PartsMaker
from toolward.bootstrap.reloading import changed_servers
from toolward.bootstrap.revision import compile_revision, revision_of
from toolward.bootstrap.rollback import make_pruning, make_rollbacks
from toolward.catalogue import Catalogue, load_catalogue, resolve_manifest
from toolward.config.sources import to_sources
from toolward.config.ward import Ward, load_ward
from toolward.config.ward_files import write_files
from toolward.errors import InvariantBroken, ToolwardError
from toolward.governance.desk import Desk
from toolward.kernel.approvals.approvals import ask_again
from toolward.kernel.approvals.ground import Ground
from toolward.kernel.gateway import Gateway
from toolward.kernel.objectives.conduct import Conduct
from toolward.kernel.parts import Parts
from toolward.kernel.pruning import Pruning
from toolward.kernel.recovery import recover
from toolward.kernel.revision import ActiveRevision, revision_to_json
from toolward.kernel.rollback.automatic import Automatic, NamedOccasions
from toolward.kernel.rollback.engine import Rollbacks
from toolward.kernel.tasks import Background
from toolward.kernel.upstream.events import LIST_CHANGED
from toolward.model.approval import Approval
from toolward.model.call import LabelledCall
from toolward.model.decision import Deny
from toolward.model.event import EventKind
from toolward.model.found import Source
from toolward.model.gate import OPEN_GATE, CanaryBounds
from toolward.model.incident import Incident
from toolward.model.principal import Principal
from toolward.model.server import ServerBinding
from toolward.model.tool import Channel, Manifest, ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Put, Store, Table
from toolward.ports.upstream import InForce
from toolward.rules.found.terms import found_manifest

_NOTHING: InForce = lambda: None  # noqa: E731 -- nothing goes with it


@dataclass(slots=True, kw_only=True)
class House:
    """An open ward; everything that is in force hangs on `revision`."""

    ward: Ward
    store: Store
    parts: Parts
    gateway: Gateway
    rollbacks: Rollbacks
    automatic: Automatic
    pruning: Pruning
    conduct: Conduct
    identity: KeyIdentity
    desk: Desk
    clock: Clock
    ids: Ids
    functions: PythonFunctions
    background: Background
    revision: ActiveRevision
    problems: list[str]
    served_at: str = ""  # the TCP listener's address, once there is one


@dataclass(slots=True)
class Builder:
    """Puts a house together and is what its callbacks refer to afterwards."""

    ward: Ward
    machine: Machine
    catalogue: Catalogue = field(default_factory=load_catalogue)
    house: House | None = None
    problems: list[str] = field(default_factory=list)
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    bound: tuple[ServerBinding, ...] = ()  # servers in force: the ward's, then the found ones

    async def build(self, on_progress: Callable[[str], None] | None = None) -> House:
        """Wire everything, recover what a crash left, write down that the gateway started."""
        background = Background(self._report)
        parts, journal = self._maker().make(background, on_progress)
        gateway = Gateway(parts, revision=self.current, background=background)
        parts.safeguards.attach(gateway)
        parts.watching.behaviour.attach(gateway)
        rollbacks = make_rollbacks(self.machine, parts, journal, gateway, background)
        automatic = Automatic(
            rollbacks=rollbacks,
            sessions=parts.sessions,
            store=parts.store,
            hook=self.machine.rollback_hook or NamedOccasions(lambda: self.ward.config.rollback.on),
            background=background,
        )
        config = self.ward.config
        conduct = Conduct(
            perform=gateway.perform,
            sessions=parts.sessions,
            store=parts.store,
            notices=parts.notices,
            automatic=automatic,
            revision=self.current,
        )
        identity = KeyIdentity(
            self.machine.store,
            roles={role: tuple(users) for role, users in config.roles.items()},
            unsafe_anonymous=config.unsafe.anonymous,
        )
        self.house = House(
            ward=self.ward,
            store=self.machine.store,
            parts=parts,
            gateway=gateway,
            rollbacks=rollbacks,
            automatic=automatic,
            pruning=make_pruning(parts, self.machine.clock),
            conduct=conduct,
            identity=identity,
            desk=self._desk(parts, gateway, rollbacks, automatic, conduct, identity),
            clock=self.machine.clock,
            ids=self.machine.ids,
            functions=self.machine.functions,
            background=background,
            revision=self._compiled(self.ward, parts),
            problems=self.problems,
        )
        self.bound = self.ward.bindings
        await self._start(parts, rollbacks)
        if self._sources():
            _ = await self._become(self.ward)
        return self.house

    def _sources(self) -> Mapping[str, Source]:
        return to_sources(self.ward.config.discovery, self.ward.path)

    def _desk(
        self,
        parts: Parts,
        gateway: Gateway,
        rollbacks: Rollbacks,
        automatic: Automatic,
        conduct: Conduct,
        identity: KeyIdentity,
    ) -> Desk:
        return Desk(
            parts=parts,
            gateway=gateway,
            rollbacks=rollbacks,
            automatic=automatic,
            conduct=conduct,
            principal_of=identity.named,
            clock=self.machine.clock,
            revision=self.current,
            repin=self.repin,
            reload=self.reload,
            take_found=self.take_found,
            write_files=lambda files: write_files(self.ward.path, files),
            ward=lambda: self.ward,
            trial=lambda version: self._compiled(self.ward, parts, self._found(), trial=version),
            name=self.ward.config.name,
            url=self.url,
        )

    def _maker(self) -> PartsMaker:
        return PartsMaker(
            machine=self.machine,
            catalogue=self.catalogue,
            ward=lambda: self.ward,
            current=self.current,
            sources=self._sources,
            manifest_of=self.manifest_of,
            repin=self.repin,
            take_found=self.take_found,
            canary_bounds=self.canary_bounds,
            incident=self._incident,
            rolls_back=self._rolls_back,
            resume=self._resume,
        )

    def _resume(self, ground: Ground, approval: Approval) -> None:
        if self.house is not None:
            _ = self.house.background.start(ask_again(ground, approval, self.house.gateway.perform))

    def url(self) -> str:
        """How people reach this gateway, without a slash at the end."""
        config = self.ward.config
        served_at = self.house.served_at if self.house is not None else ""
        named = config.approvals.url.rstrip("/") or served_at
        return named or f"http://{config.listen.host}:{config.listen.port}"

    def canary_bounds(self, channel: Channel) -> CanaryBounds:
        """When a canary of that channel passes, and when it ends by itself."""
        gate = self.ward.gates.get(channel, OPEN_GATE)
        return gate.canary or CanaryBounds()

    def current(self) -> ActiveRevision:
        """The revision in force."""
        if self.house is None:
            raise InvariantBroken("a call before the house stands")
        return self.house.revision

    def _rolls_back(self, labelled: LabelledCall, denial: Deny) -> None:
        if self.house is not None:
            why = f"`{denial.rolls_back[0]}` denied {labelled.call.target}"
            self.house.automatic.ordered(labelled.call.session.session_id, why)

    def _incident(self, incident: Incident) -> None:
        if self.house is not None:
            self.house.automatic.incident(incident)

    def manifest_of(self, server: str, definition: Mapping[str, Any]) -> Manifest:
        """The ward's own manifest, else the catalogue's for this very definition, else derived defaults."""
        return self.resolve_manifest(server, definition)[0]

    def resolve_manifest(self, server: str, definition: Mapping[str, Any]) -> tuple[Manifest, str]:
        """That manifest, and in words where it was read."""
        binding = self.current().binding(server)
        if binding is None:
            raise InvariantBroken(f"a definition of `{server}`, which is not configured")
        if (source := self.current().sources.get(binding.found_by)) is not None:
            return found_manifest(definition, binding, source), f"found by `{source.name}`"
        return resolve_manifest(
            definition, binding=binding, stated=self.ward.manifests, catalogue=self.catalogue
        )

    async def reload(self, by: Principal | None = None) -> Mapping[str, ToolwardError]:
        """Read the ward's files again and put them in force, whole or not at all.

        Servers that are new or others are compared with the pins at once; the answer says of which that
        failed, and why. Raises `ToolwardError` with the old revision still in force.
        """
        async with self.reloading:
            taken = await self._become(load_ward(self.ward.path), by)
        return await self._standing().drift.compare(taken)

    async def take_found(self, by: Principal | None = None) -> Mapping[str, ToolwardError]:
        """Put found servers in force as they are now; the answer is as of `reload`.

        What another task has just put in force, and is being compared, is waited for as well.
        """
        async with self.reloading:
            taken = await self._become(self.ward, by)
        drift = self._standing().drift
        joined = [
            each.server
            for each in self._found()
            if each.server not in taken
            and drift.description(each.server) is None
            and drift.under_way(each.server)
        ]
        return await drift.compare(
            [*taken, *joined],
            unless=lambda server: server in joined and drift.description(server) is not None,
        )

    def _standing(self) -> Parts:
        if self.house is None:
            raise InvariantBroken("a reload before the house stands")
        return self.house.parts

    async def _become(self, ward: Ward, by: Principal | None = None) -> list[str]:
        """Put a ward in force with the servers that were found under it; which servers are new or others."""
        parts = self._standing()
        wanted = (*ward.bindings, *parts.discovery.bindings(to_sources(ward.config.discovery, ward.path)))
        changes = changed_servers(self.bound, wanted)
        ready = await parts.upstreams.prepare(changes.taken, changes.dropped)

        def in_force() -> None:
            ready()
            self.bound = wanted
            for server in changes.servers:
                parts.drift.forget(server)

        await self._put_in_force(ward, by, wanted[len(ward.bindings) :], in_force)
        return [each.server for each in changes.taken]

    async def repin(self, by: Principal | None = None) -> None:
        """Put the pins as they are now in force, with the files as they were last read."""
        await self._put_in_force(self.ward, by, self._found())

    async def _put_in_force(
        self, ward: Ward, by: Principal | None, found: Sequence[ServerBinding], and_then: InForce = _NOTHING
    ) -> None:
        house = self.house
        if house is None:
            return
        revision = self._compiled(ward, house.parts, found)
        same = revision.digest == house.revision.digest
        and_then()  # with the revision, before any other task has a turn
        self.ward = house.ward = ward
        house.parts.resilience.adopt(ward.resilience)
        house.revision = revision
        if not same:
            await self._activate(house.parts, by)
            # what is listed may be another list now; a server's own announcement says nothing of that
            house.parts.notices.deliver("", "", LIST_CHANGED, {})

    def _found(self) -> Sequence[ServerBinding]:
        """The servers in force that discovery sources named."""
        return self.bound[len(self.ward.bindings) :]

    def _compiled(
        self,
        ward: Ward,
        parts: Parts,
        found: Sequence[ServerBinding] = (),
        *,
        trial: ToolVersion | None = None,
    ) -> ActiveRevision:
        here = self.machine.functions.names()
        return compile_revision(
            ward, parts.registry, parts.objectives, servers=here, found=found, trial=trial
        )

    async def _activate(self, parts: Parts, by: Principal | None = None) -> None:
        """Write down the revision in force, whole, so that it can be returned to, and who made it so."""
        revision = self.current()
        body: dict[str, Any] = {"revision": revision.digest, "profile": revision.profile}
        if by is not None:
            body["by"] = by.as_json()
        event = parts.auditor.event(EventKind.REVISION_ACTIVATED, body=body)
        pins = {
            f"{channel}/{pin.key}": (pin.digest, pin.state.value)
            for channel, pin in parts.registry.every_pin()
        }
        whole = revision_to_json(
            revision_of(self.ward, parts.registry, parts.objectives),
            pins,
            parts.objectives.of(revision.channel),
            activated_ns=self.machine.clock.now_ns(),
        )
        await parts.store.commit([event], [Put(Table.REVISION, revision.digest, whole)])

    async def _start(self, parts: Parts, rollbacks: Rollbacks) -> None:
        open_intents = await recover(parts.store, parts.auditor, parts.settle)
        await rollbacks.after_recovery()
        event = parts.auditor.event(
            EventKind.GATEWAY_STARTED,
            body={
                "revision": self.current().digest,
                "recovered_intents": open_intents,
                "unsafe": list(self.current().marks),
                "pid": os.getpid(),
            },
        )
        await parts.store.commit([event])
        await self._activate(parts)
        await parts.approvals.begin()
        await parts.resilience.begin()
        rollbacks.resume()

    def _report(self, error: BaseException) -> None:
        self.problems.append(f"{type(error).__name__}: {error}")
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a background task of toolward failed", "exception": error}
        )


async def close_house(house: House) -> None:
    """Stop what runs in the background, then the servers, and write down that the gateway stopped."""
    house.background.cancel()
    await house.background.drain()
    await house.parts.upstreams.close()
    if not house.store.healthy():
        event = house.parts.auditor.event(EventKind.GATEWAY_STOPPED, body={"revision": house.revision.digest})
        await house.store.commit([event])
