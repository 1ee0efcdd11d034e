"""When each server was last seen, and since when a tool is no longer listed: what staleness is judged by."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from toolward.errors import AuditUnavailable, Overloaded
from toolward.kernel.tasks import Background
from toolward.ports.clock import Clock
from toolward.ports.store import Put, Store, Table
from toolward.rules.canonical import canonical

WRITTEN_EVERY_NS: Final = 3_600 * 1_000_000_000
"""A server that is simply there is written down once an hour: staleness is told in hours and days."""


@dataclass(slots=True)
class Sighting:
    """Of one server; UTC nanoseconds, 0 for never and not."""

    seen_ns: int = 0
    away_ns: int = 0  # since when it can not be described
    gone: dict[str, int] = field(default_factory=dict)  # tool -> since when it is not listed
    written_ns: int = 0

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        return {
            "seen_ns": str(self.seen_ns),
            "away_ns": str(self.away_ns),
            "gone": {name: str(since) for name, since in sorted(self.gone.items())},
        }


class Sightings:
    """Kept in memory, written down in the background; losing the last hour of it changes nothing."""

    def __init__(
        self, store: Store, background: Background, *, clock: Clock, gone: Callable[[str], frozenset[str]]
    ) -> None:
        """`gone` names a server's pinned tools that it did not list at the last comparison."""
        self._store = store
        self._background = background
        self._clock = clock
        self._gone = gone
        self._servers: dict[str, Sighting] = {}

    def of(self, server: str) -> Sighting:
        """What is known of a server."""
        found = self._servers.get(server)
        if found is None:
            row = self._store.get(Table.SIGHTING, server)
            found = self._servers[server] = _read(row.body) if row is not None else Sighting()
        return found

    def seen(self, server: str) -> None:
        """It was described just now."""
        now, found = self._clock.now_ns(), self.of(server)
        gone = {name: found.gone.get(name, now) for name in self._gone(server)}
        news = bool(found.away_ns) or gone != found.gone
        found.seen_ns, found.away_ns, found.gone = now, 0, gone
        if news or now - found.written_ns >= WRITTEN_EVERY_NS:
            self._write(server, found)

    def away(self, server: str) -> None:
        """It could not be described."""
        found = self.of(server)
        if not found.away_ns:
            found.away_ns = self._clock.now_ns()
            self._write(server, found)

    def _write(self, server: str, found: Sighting) -> None:
        found.written_ns = self._clock.now_ns()
        row = Put(Table.SIGHTING, server, canonical(found.as_json()))
        _ = self._background.start(self._commit(row))

    async def _commit(self, row: Put) -> None:
        with suppress(AuditUnavailable, Overloaded):  # it is written with the next news, or in an hour
            await self._store.commit([], [row])


def _read(body: bytes) -> Sighting:
    value = orjson.loads(body)
    return Sighting(
        seen_ns=int(value["seen_ns"]),
        away_ns=int(value["away_ns"]),
        gone={name: int(since) for name, since in value["gone"].items()},
    )
