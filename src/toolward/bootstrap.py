"""The only wiring: plain constructor calls, from a ward's files to an open gateway."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from toolward.adapters.identity import KeyIdentity
from toolward.adapters.secrets import EnvironmentSecrets, FileSecrets, KeyringSecrets
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.adapters.tools.router import RoutedUpstreams
from toolward.catalogue import Catalogue, load_catalogue
from toolward.config.shape import SecretProvider, WardConfig
from toolward.config.ward import Ward, load_ward
from toolward.config.ward_files import write_files
from toolward.errors import ToolwardError, WardError
from toolward.governance.desk import Desk
from toolward.kernel.audit import Auditor
from toolward.kernel.drift import DriftWatch
from toolward.kernel.events import UpstreamNews
from toolward.kernel.gateway import Gateway
from toolward.kernel.incidents import Incidents
from toolward.kernel.listing import Listing
from toolward.kernel.notices import Notices
from toolward.kernel.parts import Parts
from toolward.kernel.recovery import recover
from toolward.kernel.registry import Registry
from toolward.kernel.revision import ActiveRevision, revision_to_json
from toolward.kernel.sessions import Sessions
from toolward.kernel.stages.admit import Admit
from toolward.kernel.stages.execute import Execute
from toolward.kernel.stages.intend import Intend
from toolward.kernel.stages.label import Label
from toolward.kernel.stages.resolve import Resolve
from toolward.kernel.stages.settle import Settle
from toolward.kernel.tasks import Background
from toolward.kernel.upstream_requests import GovernRequests
from toolward.model.event import EventKind
from toolward.model.incident import IncidentKind
from toolward.model.revision import Revision
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind, Manifest
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.secrets import Secrets
from toolward.ports.store import Put, Store, Table
from toolward.ports.upstream import UpstreamHooks, Upstreams
from toolward.rules.manifest_defaults import complete_manifest, derive_manifest
from toolward.rules.policy.ceiling import Ceiling
from toolward.rules.policy.engine import PolicyBook
from toolward.rules.policy.profile import Book, Profile, compile_profile
from toolward.rules.revision import revision_digest
from toolward.rules.version import definition_digest

UNSAFE_ALLOW_ALL = "UnsafeAllowAll"
UNSAFE_ANONYMOUS = "UnsafeAnonymous"
PYTHON_SERVER = "python"


@dataclass(slots=True, kw_only=True)
class House:
    """An open ward. Made by `open_house`; everything that is in force hangs on `revision`."""

    ward: Ward
    store: Store
    parts: Parts
    gateway: Gateway
    identity: KeyIdentity
    desk: Desk
    clock: Clock
    ids: Ids
    functions: PythonFunctions
    background: Background
    revision: ActiveRevision
    problems: list[str] = field(default_factory=list)


@asynccontextmanager
async def open_house(
    path: Path | str,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    functions: PythonFunctions | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> AsyncIterator[House]:
    """Open the ward at `path` for this process alone, recover what a crash left, and close it at the end.

    Raises `WardError` for files that are wrong, a log that was tampered with, or a ward that another
    process has open.
    """
    clock, ids = clock or SystemClock(), ids or SystemIds()
    ward = load_ward(path)
    store = SqliteStore.open(ward.state, origin=f"toolward/{ward.config.name}", clock=clock, ids=ids)
    try:
        builder = _Builder(ward, store, clock=clock, ids=ids, functions=functions or PythonFunctions())
        house = await builder.build(on_progress)
        try:
            yield house
        finally:
            await _close(house)
    finally:
        await store.close()


async def _close(house: House) -> None:
    house.background.cancel()
    await house.background.drain()
    await house.parts.upstreams.close()
    event = house.parts.auditor.event(EventKind.GATEWAY_STOPPED, body={"revision": house.revision.digest})
    if not house.store.healthy():
        await house.store.commit([event])


@dataclass(slots=True)
class _Builder:
    """Holds what the closures below refer to while the house is being put together."""

    ward: Ward
    store: Store
    clock: Clock
    ids: Ids
    functions: PythonFunctions
    catalogue: Catalogue = field(default_factory=load_catalogue)
    house: House | None = None
    problems: list[str] = field(default_factory=list)

    async def build(self, on_progress: Callable[[str], None] | None) -> House:
        auditor = Auditor(self.store, clock=self.clock, ids=self.ids)
        incidents = Incidents(self.store, auditor, clock=self.clock, ids=self.ids)
        registry = Registry(
            self.store, auditor, incidents, clock=self.clock, channel=self.ward.config.channel
        )
        background = Background(self._report)
        secrets = make_secrets(self.ward.config, self.ward.path)
        sessions = Sessions(self.store, auditor, clock=self.clock, ids=self.ids)
        hooks = UpstreamHooks(on_progress=on_progress)
        upstreams = RoutedUpstreams(
            [
                self.functions,
                McpUpstreams(
                    self.ward.bindings,
                    secrets=secrets,
                    clock=self.clock,
                    ids=self.ids,
                    hooks=hooks,
                    state_dir=self.ward.state,
                ),
            ]
        )
        notices = Notices()
        parts = self._parts(
            auditor=auditor,
            incidents=incidents,
            registry=registry,
            sessions=sessions,
            secrets=secrets,
            upstreams=upstreams,
            notices=notices,
        )
        hooks.on_request = parts.requests
        hooks.events = UpstreamNews(parts.drift, notices)
        gateway = Gateway(parts, revision=self.current, background=background)
        identity = KeyIdentity(
            self.store,
            roles={role: tuple(users) for role, users in self.ward.config.roles.items()},
            unsafe_anonymous=self.ward.config.unsafe.anonymous,
        )
        self.house = House(
            ward=self.ward,
            store=self.store,
            parts=parts,
            gateway=gateway,
            identity=identity,
            desk=self._desk(parts, gateway),
            clock=self.clock,
            ids=self.ids,
            functions=self.functions,
            background=background,
            revision=compile_revision(self.ward, registry),
            problems=self.problems,
        )
        await self._start(parts)
        return self.house

    def _parts(
        self,
        *,
        auditor: Auditor,
        incidents: Incidents,
        registry: Registry,
        sessions: Sessions,
        secrets: Secrets,
        upstreams: Upstreams,
        notices: Notices,
    ) -> Parts:
        drift = DriftWatch(
            registry,
            upstreams,
            clock=self.clock,
            manifest_of=self.manifest_of,
            revision=self.current,
            on_change=self.repin,
        )
        admit = Admit(auditor, clock=self.clock, ids=self.ids)
        label = Label(sessions)
        settle = Settle(
            store=self.store, auditor=auditor, sessions=sessions, secrets=secrets, clock=self.clock
        )
        return Parts(
            store=self.store,
            auditor=auditor,
            ids=self.ids,
            sessions=sessions,
            registry=registry,
            incidents=incidents,
            drift=drift,
            upstreams=upstreams,
            notices=notices,
            admit=admit,
            resolve=Resolve(registry, drift),
            label=label,
            intend=Intend(self.store, auditor),
            execute=Execute(upstreams, Listing(registry)),
            settle=settle,
            requests=GovernRequests(
                admit=admit, label=label, settle=settle, ids=self.ids, revision=self.current
            ),
        )

    def _desk(self, parts: Parts, gateway: Gateway) -> Desk:
        return Desk(
            parts=parts,
            gateway=gateway,
            clock=self.clock,
            revision=self.current,
            reload=self.reload,
            write_files=lambda files: write_files(self.ward.path, files),
            name=self.ward.config.name,
        )

    def current(self) -> ActiveRevision:
        """The revision in force."""
        if self.house is None:
            raise WardError("the ward is still being opened")
        return self.house.revision

    def manifest_of(self, server: str, definition: Mapping[str, Any]) -> Manifest:
        """The ward's own manifest, else the catalogue's for this very definition, else derived defaults."""
        own = self.ward.manifests.get(f"{server}/{definition.get('name', '')}")
        if own is not None:
            return complete_manifest(own[0], definition)
        known = self.catalogue.match(definition_digest(definition))
        return known[0] if known is not None else derive_manifest(definition)

    async def reload(self) -> None:
        """Read the ward's files again and put them in force, whole or not at all.

        Raises `WardError` with the old revision still in force. Servers that were added or changed need
        a restart, which the error says.
        """
        house = self.house
        if house is None:
            return
        ward = load_ward(self.ward.path)
        if ward.bindings != self.ward.bindings:
            raise WardError(
                "the servers in toolward.yaml changed", file="toolward.yaml", remedy="restart `toolward up`"
            )
        revision = compile_revision(ward, house.parts.registry)
        self.ward = house.ward = ward
        house.revision = revision
        await self._activate(house.parts)

    async def repin(self) -> None:
        """Put the pins as they are now in force, with the files as they were last read."""
        if self.house is None:
            return
        self.house.revision = compile_revision(self.ward, self.house.parts.registry)
        await self._activate(self.house.parts)

    async def _activate(self, parts: Parts) -> None:
        """Write down the revision that is in force now, once for each digest."""
        digest = self.current().digest
        event = parts.auditor.event(
            EventKind.REVISION_ACTIVATED, body={"revision": digest, "profile": self.current().profile}
        )
        pins = {pin.key: (pin.digest, pin.state.value) for pin in parts.registry.pins()}
        body = revision_to_json(_revision(self.ward, parts.registry), pins, activated_ns=self.clock.now_ns())
        await self.store.commit([event], [Put(Table.REVISION, digest, body)])

    async def _start(self, parts: Parts) -> None:
        open_intents = await recover(self.store, parts.auditor, parts.settle)
        event = parts.auditor.event(
            EventKind.GATEWAY_STARTED,
            body={
                "revision": self.current().digest,
                "recovered_intents": open_intents,
                "unsafe": list(self.current().marks),
                "pid": os.getpid(),
            },
        )
        await self.store.commit([event])
        await self._activate(parts)

    def _report(self, error: BaseException) -> None:
        self.problems.append(f"{type(error).__name__}: {error}")
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a background task of toolward failed", "exception": error}
        )


def make_secrets(config: WardConfig, ward: Path) -> EnvironmentSecrets | FileSecrets | KeyringSecrets:
    """The provider that the ward names."""
    match config.secrets.provider:
        case SecretProvider.ENV:
            return EnvironmentSecrets(os.environ)
        case SecretProvider.FILE:
            return FileSecrets(ward / config.secrets.file)
        case SecretProvider.KEYRING:
            return KeyringSecrets()


def compile_revision(ward: Ward, registry: Registry) -> ActiveRevision:
    """Everything that decides, compiled. Raises `WardError` for a policy that does not fit the tools."""
    config = ward.config
    bindings: dict[str, ServerBinding] = {each.server: each for each in ward.bindings}
    bindings.setdefault(PYTHON_SERVER, ServerBinding(server=PYTHON_SERVER, kind=BindingKind.PYTHON))
    marks = [UNSAFE_ALLOW_ALL] if config.unsafe.allow_all else []
    marks += [UNSAFE_ANONYMOUS] if config.unsafe.anonymous else []
    return ActiveRevision(
        digest=revision_digest(ward.files, _revision(ward, registry).pins),
        profile=config.profile.value,
        channel=config.channel,
        book=_book(ward, registry, servers=tuple(bindings)),
        bindings=bindings,
        definition_age_max_s={each.server: each.definitions_max_age_s for each in ward.bindings},
        marks=tuple(marks),
    )


def _book(ward: Ward, registry: Registry, *, servers: Sequence[str]) -> Book:
    config = ward.config
    if config.unsafe.allow_all:
        everything = {UNSAFE_ALLOW_ALL: f'@id("{UNSAFE_ALLOW_ALL}")\npermit (principal, action, resource);'}
        return PolicyBook.compile(tools=registry.versions(), policies=everything, servers=servers)
    return compile_profile(
        Profile(config.profile.value),
        shipped=shipped_profiles(),
        tools=registry.versions(),
        policies=ward.policies,
        ceilings={
            name: Ceiling(
                tools=agent.tools or None,
                servers=agent.servers or None,
                effects=tuple(effect.value for effect in agent.effects) or None,
            )
            for name, agent in config.agents.items()
        },
        servers=servers,
    )


def shipped_profiles() -> dict[Profile, str]:
    """The Cedar text of every profile."""
    folder = resources.files("toolward.catalogue") / "profiles"
    return {each: (folder / f"{each.value}.cedar").read_text(encoding="utf-8") for each in Profile}


def _revision(ward: Ward, registry: Registry) -> Revision:
    prefix = ward.config.channel.value
    return Revision(
        files=ward.files,
        pins={f"{prefix}/{pin.key}": f"{pin.digest} {pin.state.value}" for pin in registry.pins()},
    )


__all__ = ["House", "IncidentKind", "ToolwardError", "open_house"]
