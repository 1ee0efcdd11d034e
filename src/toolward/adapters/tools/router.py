"""Several kinds of upstream behind the one port."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from toolward.errors import InvariantBroken, ToolFailed
from toolward.model.call import Intent, RawOutcome
from toolward.model.capability import IsolationReport
from toolward.model.permit import Permit
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.upstream import Exchange, InForce, ServerDescription, Upstreams


class RoutedUpstreams:
    """`ports.upstream.Upstreams` that sends each server's calls to the adapter that holds it."""

    def __init__(self, parts: Sequence[Upstreams]) -> None:
        self._parts = tuple(parts)
        self._holders: dict[str, Upstreams] = {}

    def names(self) -> tuple[str, ...]:
        """All servers, adapter by adapter."""
        return tuple(name for part in self._parts for name in part.names())

    async def describe(self, server: str) -> ServerDescription:
        """Raises `ToolFailed` for a server that no adapter holds."""
        part = self._holder(server)
        if part is None:
            raise ToolFailed(f"no server `{server}` is configured", remedy="see toolward.yaml")
        return await part.describe(server)

    async def isolation(self, server: str) -> IsolationReport:
        """Raises `ToolFailed` for a server that no adapter holds."""
        part = self._holder(server)
        if part is None:
            raise ToolFailed(f"no server `{server}` is configured", remedy="see toolward.yaml")
        return await part.isolation(server)

    async def execute(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        """Execution by the adapter that holds the resolved server."""
        part = self._holder(permit.labelled.resolved.upstream)
        if part is None:
            raise InvariantBroken("a permit for a server that nobody holds")
        return await part.execute(permit, intent, exchange)

    def holds(self, kind: BindingKind) -> bool:
        """Whether one of the adapters does."""
        return any(part.holds(kind) for part in self._parts)

    async def prepare(self, taken: Sequence[ServerBinding], dropped: Collection[str]) -> InForce:
        """Each server to the adapter of its kind; one that changed its kind leaves its old adapter.

        Raises `ToolwardError` before anything has changed anywhere.
        """
        ready: list[InForce] = []
        for part in self._parts:
            mine = [each for each in taken if part.holds(each.kind)]
            others = {each.server for each in taken} - {each.server for each in mine}
            ready.append(await part.prepare(mine, {*dropped, *others}))

        def in_force() -> None:
            for each in ready:
                each()
            self._holders.clear()

        return in_force

    async def close_session(self, session_id: str) -> None:
        """Close it everywhere."""
        for part in self._parts:
            await part.close_session(session_id)

    async def close(self) -> None:
        """Close everything."""
        for part in self._parts:
            await part.close()

    def _holder(self, server: str) -> Upstreams | None:
        """Which adapter has it; a server that was found once stays where it is."""
        holder = self._holders.get(server)
        if holder is None:
            holder = next((part for part in self._parts if server in part.names()), None)
            if holder is not None:
                self._holders[server] = holder
        return holder
