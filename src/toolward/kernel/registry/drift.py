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
from dataclasses import dataclass, field

from toolward.config.limits import DEFINITION_AGE_MAX_S, DEFINITION_AGE_WRITES_MAX_S
from toolward.errors import Denied, ReasonCode, ToolFailed, ToolwardError
from toolward.kernel.registry.registry import Finding, ManifestOf, Registry
from toolward.kernel.revision import ActiveRevision
from toolward.model.server import ServerBinding
from toolward.model.tool import Effect, ToolState
from toolward.ports.clock import Clock
from toolward.ports.upstream import ServerDescription, Upstreams
from toolward.rules.lifecycle import Change

_SECOND = 1_000_000_000
COMPARISONS_MAX = 3
"""Before one call, when the server goes on announcing changes."""


@dataclass(slots=True)
class _Watched:
    """What is known of one server's last comparison."""

    compared_ns: int | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    description: ServerDescription | None = None
    announced: int = 0  # how often the server said that something changed


class DriftWatch:
    """Compares what servers list with what is pinned."""

    def __init__(  # noqa: PLR0913 -- one for each of its neighbours
        self,
        registry: Registry,
        upstreams: Upstreams,
        *,
        clock: Clock,
        manifest_of: ManifestOf,
        revision: Callable[[], ActiveRevision],
        on_change: Callable[[], Awaitable[None]],
        bounded: Callable[[ServerDescription], Awaitable[ServerDescription]],
    ) -> None:
        """`bounded` takes of a found server's list what can be taken, and records what can not."""
        self._registry = registry
        self._upstreams = upstreams
        self._clock = clock
        self._manifest_of = manifest_of
        self._revision = revision
        self._on_change = on_change
        self._bounded = bounded
        self._servers: dict[str, _Watched] = {}

    async def ensure_fresh(self, key: str, server: str) -> None:
        """Return once the pins of `server` were compared recently enough for this tool's effect.

        Raises `ToolFailed` when the server can not be reached for a comparison that is needed, `Denied` when
        it announces another change during each.
        """
        watched = self._watched(server)
        for _ in range(COMPARISONS_MAX):
            if self._fresh_enough(key, server, watched):
                return
            await self.refresh(server, unless=lambda: self._fresh_enough(key, server, watched))
        if watched.compared_ns is None:
            raise Denied(
                f"`{server}` changes its definitions faster than they can be compared",
                code=ReasonCode.STALE_DEFINITION,
                remedy="try again later, or use a tool of another server",
            )

    async def refresh(self, server: str, *, unless: Callable[[], bool] = lambda: False) -> list[Finding]:
        """Compare now. Concurrent callers share one comparison: `unless` is asked again under the lock."""
        findings = await self._compared(server, unless)
        if _changed(findings):
            await self._on_change()
        return findings

    async def _compared(self, server: str, unless: Callable[[], bool] = lambda: False) -> list[Finding]:
        watched = self._watched(server)
        async with watched.lock:
            if unless():
                return []
            binding = self._revision().binding(server)
            if binding is None:
                raise ToolFailed(f"no server `{server}` is configured", remedy="see toolward.yaml")
            started, announced = self._clock.monotonic_ns(), watched.announced
            description = await self._upstreams.describe(server)
            if self._revision().binding(server) != binding:
                return []  # it was changed or taken away meanwhile: this is the word of another server
            found = bool(binding.found_by)
            if found:
                description = await self._bounded(description)
            findings = await self._registry.observe(
                description,
                binding=_identity(binding, description),
                manifest_of=self._manifest_of,
                new=ToolState.DISCOVERED if found else ToolState.PROPOSED,
            )
            watched.description = description
            # a change that was announced meanwhile may be missing from what was listed
            watched.compared_ns = started if watched.announced == announced else None
            return findings

    def announce(self, server: str) -> None:
        """The server said that its definitions changed: the next call waits for a comparison."""
        watched = self._watched(server)
        watched.compared_ns = None
        watched.announced += 1

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

        async def one(server: str) -> list[Finding] | ToolwardError:
            try:
                return await self._compared(server, lambda: unless(server))
            except ToolwardError as error:
                return error

        found = await asyncio.gather(*(one(server) for server in servers))
        if any(_changed(each) for each in found if not isinstance(each, ToolwardError)):
            await self._on_change()
        return {s: each for s, each in zip(servers, found, strict=True) if isinstance(each, ToolwardError)}

    def description(self, server: str) -> ServerDescription | None:
        """What the server said at the last comparison."""
        return self._watched(server).description

    async def schedule(self, report: Callable[[str, ToolwardError], None]) -> None:
        """Compare every server again and again, for as long as the task lives."""
        while True:
            for server in self._upstreams.names():
                try:
                    await self.refresh(server, unless=lambda s=server: self._young(s))  # type: ignore[misc]
                except ToolwardError as error:
                    report(server, error)
            await asyncio.sleep(DEFINITION_AGE_MAX_S / 2)

    def _young(self, server: str) -> bool:
        return self._age_s(self._watched(server)) < DEFINITION_AGE_MAX_S / 2

    def _fresh_enough(self, key: str, server: str, watched: _Watched) -> bool:
        if watched.compared_ns is None:
            return False
        served = self._registry.served(key)
        manifest = served[1].manifest if served else None
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


def _changed(findings: Sequence[Finding]) -> bool:
    return any(finding.change is not Change.SAME for finding in findings)


def _identity(binding: ServerBinding, description: ServerDescription) -> str:
    """What a version pins of its server: how it is reached, and the lock of what was really installed."""
    return f"{binding.identity()} {description.lock}".strip()
