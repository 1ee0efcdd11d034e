"""How long a changed definition can go unseen, and what happens the moment it is seen.

| what happened | when the comparison is made |
|---|---|
| the gateway started, or the server was restarted | before the first call of any effect |
| the server announced a change | before the next call of any effect |
| a call that writes or leaves the operator's reach | if the last comparison is older than 30 s |
| a call that only reads | on a schedule, every 300 s |
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from toolward.config.limits import DEFINITION_AGE_MAX_S, DEFINITION_AGE_WRITES_MAX_S
from toolward.errors import Denied, Overloaded, ReasonCode, ToolFailed, ToolwardError
from toolward.kernel.registry.observing import Comparison, Looked, ManifestOf, Observing
from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.model.server import VARIANT, ServerBinding, server_of
from toolward.model.tool import BindingKind, Effect, ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.upstream import ServerDescription, Upstreams
from toolward.rules.canonical import canonical
from toolward.rules.lifecycle import Change

_SECOND = 1_000_000_000
_NAMED_BY_THEMSELVES = frozenset({BindingKind.STDIO, BindingKind.HTTP})
"""Servers that say who they are; the others are files of the ward, or this very process."""
COMPARISONS_MAX = 3
"""Before one call, when the server goes on announcing changes."""
WAITING_MAX = 32
"""Callers that may wait for one server's comparison: it may hang, and each holds a place of its agent's."""
SCHEDULED_MAX = 16
"""Servers that are compared on schedule at the same time; one that hangs holds one of these places."""


class Look(Enum):
    """How a comparison came out, for whoever watches beside it."""

    CONNECTED = auto()  # the first since a start, a restart, or a change that was announced
    SEEN = auto()
    AWAY = auto()  # the server could not be described


Looking = Callable[[str, Look, ToolwardError | None], None]
"""Told of each comparison's server, after it, of how it came out, and of what it failed with."""


def _unheard(server: str, look: Look, error: ToolwardError | None) -> None:
    del server, look, error


@dataclass(slots=True)
class _Watched:
    """What is known of one server's last comparison."""

    compared_ns: int | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    description: ServerDescription | None = None
    announced: int = 0  # how often the server said that something changed
    waiting: int = 0  # callers of a comparison that runs
    failures: int = 0
    failure: ToolwardError | None = None  # of the last comparison, if it failed


class DriftWatch:
    """Compares what servers list with what is pinned."""

    def __init__(  # noqa: PLR0913 -- what it compares, and who hears of it
        self,
        registry: Registry,
        upstreams: Upstreams,
        *,
        clock: Clock,
        manifest_of: ManifestOf,
        revision: Callable[[], ActiveRevision],
        on_change: Callable[[], Awaitable[None]],
        looked: Looking = _unheard,
        bounded: Callable[[ServerDescription], Awaitable[ServerDescription]],
    ) -> None:
        """`bounded` takes of a found server's list what can be taken, and records what can not."""
        self._looked = looked
        self._registry = registry
        self._upstreams = upstreams
        self._clock = clock
        self._observe = Observing(registry, manifest_of=manifest_of)
        self._revision = revision
        self._on_change = on_change
        self._bounded = bounded
        self._servers: dict[str, _Watched] = {}

    async def ensure_fresh(self, server: str, version: ToolVersion | None) -> None:
        """Return once `server`, or a variant, was compared recently enough for the effect of this version.

        Raises `ToolFailed` when the server can not be reached for a comparison that is needed, `Overloaded`
        when too many wait for that already, `Denied` when it announces another change during each.
        """
        watched = self._watched(server)
        for _ in range(COMPARISONS_MAX):
            if self._fresh_enough(server, version, watched):
                return
            await self.refresh(server, unless=lambda: self._fresh_enough(server, version, watched))
        if watched.compared_ns is None:
            raise Denied(
                f"`{server}` changes its definitions faster than they can be compared",
                code=ReasonCode.STALE_DEFINITION,
                remedy="try again later, or use a tool of another server",
            )

    async def refresh(self, server: str, *, unless: Callable[[], bool] = lambda: False) -> list[Comparison]:
        """Compare now. Concurrent callers share one comparison, its failure too; `unless` is asked before it.

        Raises what `Upstreams.describe` raises, `Overloaded`.
        """
        findings = await self._compared(server, unless)
        if _changed(findings):
            await self._on_change()
        return findings

    async def _compared(self, server: str, unless: Callable[[], bool] = lambda: False) -> list[Comparison]:
        watched = self._watched(server)
        if watched.waiting >= WAITING_MAX:
            raise Overloaded(
                f"{WAITING_MAX} calls wait already for what `{server}` offers",
                remedy="try again later, or use a tool of another server",
            )
        watched.waiting += 1
        failures = watched.failures
        try:
            async with watched.lock:
                if unless():
                    return []
                if watched.failures != failures and (failed := watched.failure) is not None:
                    # whoever waited for a server that hangs does not wait once more for the same
                    raise ToolFailed(
                        failed.reason.text,
                        code=failed.reason.code,
                        remedy=failed.reason.remedy,
                        details=failed.reason.details,
                    )
                return await self._compare(server, watched)
        finally:
            watched.waiting -= 1

    async def _compare(self, server: str, watched: _Watched) -> list[Comparison]:
        revision = self._revision()
        binding, whole = revision.upstream(server), revision.binding(server_of(server))
        if binding is None or whole is None:
            raise ToolFailed(f"no server `{server}` is configured", remedy="see toolward.yaml")
        started, announced = self._clock.monotonic_ns(), watched.announced
        look = Look.SEEN if watched.compared_ns is not None else Look.CONNECTED
        try:
            description = await self._upstreams.describe(server)
        except ToolwardError as error:
            watched.failures += 1
            watched.failure = error
            self._looked(server, Look.AWAY, error)
            raise
        if self._revision().upstream(server) != binding:
            return []  # it was changed or taken away meanwhile: this is the word of another server
        if binding.found_by:
            description = await self._bounded(description)
        findings = await self._observe(
            Looked(
                description=replace(description, server=whole.server),
                binding=_identity(binding, description),
                others=[each.identity() for each in whole.all() if each.server != server],
                found=bool(binding.found_by),
            )
        )
        watched.description = description
        # a change that was announced meanwhile may be missing from what was listed
        watched.compared_ns = started if watched.announced == announced else None
        self._looked(server, look, None)
        return findings

    def announce(self, server: str) -> None:
        """The server said that its definitions changed: the next call waits for a comparison."""
        watched = self._watched(server)
        watched.compared_ns = None
        watched.announced += 1

    def announcements(self, server: str) -> int:
        """How often the server said that its definitions changed, or was restarted."""
        return self._watched(server).announced

    def forget(self, server: str) -> None:
        """It is another server from now on, or none: nothing that was said under its name holds."""
        self.announce(server)
        self._watched(server).description = None

    async def compare(
        self, servers: Sequence[str], *, unless: Callable[[str], bool] = lambda _: False
    ) -> Mapping[str, ToolwardError]:
        """Compare these now, all at once; why it could not be done, by the server for which it could not.

        What they changed is put in force once: it costs as much as there are tools in all. A tool that is
        quarantined is not served from its comparison on, whatever is in force.
        """

        async def one(server: str) -> list[Comparison] | ToolwardError:
            try:
                return await self._compared(server, lambda: unless(server))
            except ToolwardError as error:
                return error

        found = await asyncio.gather(*(one(server) for server in servers))
        if any(_changed(each) for each in found if not isinstance(each, ToolwardError)):
            await self._on_change()
        return {s: each for s, each in zip(servers, found, strict=True) if isinstance(each, ToolwardError)}

    def under_way(self, server: str) -> bool:
        """Whether somebody compares it just now."""
        return self._watched(server).waiting > 0

    def description(self, server: str) -> ServerDescription | None:
        """What the server said at the last comparison."""
        return self._watched(server).description

    async def schedule(self, report: Callable[[str, ToolwardError], None]) -> None:
        """Compare every server again and again, for as long as the task lives; none holds up another."""
        busy: set[str] = set()
        places = asyncio.Semaphore(SCHEDULED_MAX)

        async def compare(server: str) -> None:
            try:
                async with places:
                    await self.refresh(server, unless=lambda: self._young(server))
            except ToolwardError as error:
                report(server, error)
            finally:
                busy.discard(server)

        async with asyncio.TaskGroup() as group:
            while True:
                for server in self._worth_a_look():
                    if server not in busy:
                        busy.add(server)
                        _ = group.create_task(compare(server))
                await asyncio.sleep(DEFINITION_AGE_MAX_S / 2)

    def _worth_a_look(self) -> list[str]:
        """Every server, and the variants that run something: the others are not started for a look."""
        revision = self._revision()
        used = {revision.runner(version) for version in self._registry.versions()}
        return [each for each in self._upstreams.names() if VARIANT not in each or each in used]

    def _young(self, server: str) -> bool:
        return self._age_s(self._watched(server)) < DEFINITION_AGE_MAX_S / 2

    def _fresh_enough(self, server: str, version: ToolVersion | None, watched: _Watched) -> bool:
        if watched.compared_ns is None:
            return False
        manifest = version.manifest if version is not None else None
        if manifest is not None and manifest.effect is Effect.READ_ONLY and not manifest.egress:
            return True
        limit = self._revision().definition_age_max_s.get(server, DEFINITION_AGE_WRITES_MAX_S)
        return self._age_s(watched) <= limit

    def _age_s(self, watched: _Watched) -> float:
        if watched.compared_ns is None:
            return float("inf")
        return (self._clock.monotonic_ns() - watched.compared_ns) / _SECOND

    def _watched(self, server: str) -> _Watched:
        watched = self._servers.get(server)
        if watched is None:
            watched = self._servers[server] = _Watched()
        return watched


def _changed(findings: Sequence[Comparison]) -> bool:
    return any(finding.change is not Change.SAME for finding in findings)


def _identity(binding: ServerBinding, description: ServerDescription) -> str:
    """What a version pins of its server: how it is reached, the lock of what runs, and who it says it is.

    A server elsewhere has no lock: its own name and version are all that tells one release from another.
    """
    said = {key: description.info[key] for key in ("name", "version") if key in description.info}
    called = f"serverInfo {canonical(said).decode()}" if said and binding.kind in _NAMED_BY_THEMSELVES else ""
    return " ".join(filter(None, (binding.identity(), description.lock, called)))
