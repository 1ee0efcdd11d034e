"""What sources named, and who let it in. Nothing that a source says is started or reached by that alone.

The store is the truth and this is its copy: every change is committed first, with its record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from toolward.errors import ReasonCode, Rejected, ToolwardError
from toolward.kernel.audit import Auditor
from toolward.kernel.clauses import Clause
from toolward.kernel.discovery.budgets import OpenBudgets
from toolward.kernel.discovery.rows import row_from_json, row_to_json
from toolward.kernel.discovery.use import OpenUse
from toolward.kernel.tasks import Background
from toolward.model.event import EventKind
from toolward.model.found import Admission, FoundRow, FoundServer, FoundState, Reading, Source, SourceKind
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.model.server import ServerBinding
from toolward.ports.clock import Clock
from toolward.ports.sources import Sources
from toolward.ports.store import Put, Store, Table
from toolward.ports.upstream import ServerDescription
from toolward.rules.found.reading import read_proposal
from toolward.rules.found.terms import binding_of, fit, server_id

LOOK_S: Final = 30.0
"""Between two looks at which source is due."""
TOLD_MAX: Final = 20
"""Refused entries that a record names."""
_SECOND: Final = 1_000_000_000


class Discovery:
    """Found servers of all sources that are configured now; those of others are kept and not in force."""

    def __init__(
        self,
        store: Store,
        auditor: Auditor,
        sources: Sources,
        *,
        clock: Clock,
        background: Background,
        configured: Callable[[], Mapping[str, Source]],
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self._sources = sources
        self.configured = configured
        self._rows = {row.key: row_from_json(row.body) for row in store.scan(Table.FOUND)}
        self._changing = asyncio.Lock()
        self._looked: dict[str, int] = {}
        self.use = OpenUse(store, auditor, background)

    # --- what is known

    def rows(self) -> Iterator[tuple[str, FoundRow]]:
        """All that was found, by id."""
        yield from sorted(self._rows.items())

    def bindings(self, configured: Mapping[str, Source]) -> list[ServerBinding]:
        """What is to be in force under these sources: admitted, and fit for the open path."""
        found: list[ServerBinding] = []
        for _, row in self.rows():
            source = configured.get(row.server.source)
            if row.state is FoundState.ADMITTED and source is not None:
                try:
                    found.append(binding_of(row.server, source))
                except Rejected:
                    continue  # its source may name less by now: `unfit_of` says so
        return found

    def clauses(self) -> tuple[Clause, ...]:
        """What stands beside every call of a found tool."""
        return (OpenBudgets(self._store, clock=self._clock), self.use)

    def takes_proposals(self) -> bool:
        """Whether there is a source for what agents propose."""
        return any(source.kind is SourceKind.PROPOSALS for source in self.configured().values())

    def unfit_of(self, row: FoundRow) -> str:
        """Why a found server can not run under its source's terms, "" where it can."""
        source = self.configured().get(row.server.source)
        if source is None:
            return f"the source `{row.server.source}` is not configured any more"
        try:
            _ = binding_of(row.server, source)
        except Rejected as no:
            return no.reason.text
        return ""

    # --- what sources say

    async def look(self, name: str) -> Reading:
        """Read a source now and note what is new or other; what it names no longer stays as it was admitted.

        Raises `Rejected` for a source that is not configured, `ToolFailed` for one that can not be read;
        that is on record too.
        """
        source = self.configured().get(name)
        if source is None:
            raise Rejected(f"no source `{name}`", remedy="see `discovery.sources` in toolward.yaml")
        self._looked[name] = self._clock.monotonic_ns()
        try:
            reading = await self._sources.read(source)
        except ToolwardError as error:
            await self._store.commit([self._read_record(source.name, Reading(), why=error.reason.text)])
            raise
        async with self._changing:
            await self._note(source, reading)
        return reading

    async def keep(self, report: Callable[[str, ToolwardError], None], changed: Changed) -> None:
        """Look at every source when it is due, for as long as the task lives."""
        while True:
            for name, source in list(self.configured().items()):
                looked = self._looked.get(name)
                now = self._clock.monotonic_ns()
                if source.kind is SourceKind.PROPOSALS or (
                    looked is not None and now - looked < source.every_s * _SECOND
                ):
                    continue
                try:
                    _ = await self.look(name)
                    await changed()
                except ToolwardError as error:
                    report(f"source {name}", error)
            await asyncio.sleep(LOOK_S)

    async def _note(self, source: Source, reading: Reading) -> None:
        now, puts = self._clock.now_ns(), list[tuple[str, FoundRow]]()
        for server in reading.servers:
            key = server_id(source.name, server.name)
            row = self._next(source, self._rows.get(key), server, now)
            if row != self._rows.get(key):
                puts.append((key, row))
        event = self._read_record(source.name, reading, changed=[key for key, _ in puts])
        await self._store.commit([event], [Put(Table.FOUND, key, row_to_json(row)) for key, row in puts])
        self._rows.update(puts)

    @staticmethod
    def _next(source: Source, old: FoundRow | None, server: FoundServer, now_ns: int) -> FoundRow:
        """What its source says now is taken where nobody has decided, or the operator did for all of it."""
        automatic = source.admission is Admission.AUTOMATICALLY and not server.unfit
        if old is None:
            state = FoundState.ADMITTED if automatic else FoundState.LISTED
            return FoundRow(server=server, state=state, by="source" if automatic else "", since_ns=now_ns)
        if old.server == server:
            return replace(old, candidate=None)
        if old.state is FoundState.LISTED or (automatic and old.by == "source"):
            return replace(old, server=server, since_ns=now_ns, candidate=None)
        return old if old.candidate == server else replace(old, candidate=server)

    async def bounded(self, description: ServerDescription) -> ServerDescription:
        """Of what a found server lists, what can be taken; the rest is on record and nowhere else."""
        taken, refused = fit(description.tools)
        if refused:
            reading = Reading(refused=tuple(refused))
            await self._store.commit([self._read_record(description.server, reading)])
        return replace(description, tools=taken)

    def _read_record(
        self, what: str, reading: Reading, *, changed: list[str] | None = None, why: str = ""
    ) -> Any:
        body = {
            "source": what,
            "servers": len(reading.servers),
            "changed": changed or [],
            "refused": [{"name": name, "why": said} for name, said in reading.refused[:TOLD_MAX]],
            "left_out": reading.left_out + max(len(reading.refused) - TOLD_MAX, 0),
            "why": why,
        }
        return self._auditor.event(EventKind.SOURCE_READ, body=body)

    # --- what agents propose and people decide

    async def propose(self, permit: Permit) -> tuple[str, FoundRow]:
        """Note what an agent proposes. Raises `Rejected` where no source takes proposals, or what is none."""
        call = permit.labelled.call
        source = next((s for s in self.configured().values() if s.kind is SourceKind.PROPOSALS), None)
        if source is None:
            raise Rejected("proposals are not taken here", remedy="use a tool that is there")
        async with self._changing:
            server = read_proposal(call.arguments, source=source.name)
            _ = binding_of(server, source)
            key = server_id(source.name, server.name)
            old = self._rows.get(key)
            mine = sum(row.server.source == source.name for row in self._rows.values())
            if old is None and mine >= source.servers_max:
                raise Rejected(f"{mine} proposals are there already", code=ReasonCode.OVERLOADED)
            row = self._next(source, old, server, self._clock.now_ns())
            if row == old:
                return key, row
            event = self._auditor.event(
                EventKind.SERVER_PROPOSED,
                call_id=call.call_id,
                session_id=call.session.session_id,
                body={"server": key, **_told(server), "by": call.session.principal.as_json()},
            )
            await self._store.commit([event], [Put(Table.FOUND, key, row_to_json(row))])
            self._rows[key] = row
            return key, row

    async def admit(self, key: str, *, by: Principal) -> FoundRow:
        """Let a server in, as its source describes it now. Raises `Rejected` for one that is not fit."""
        async with self._changing:
            row = self._known(key)
            server = row.candidate or row.server
            row = replace(row, server=server, candidate=None, state=FoundState.ADMITTED, by=by.user)
            if why := self.unfit_of(row):
                raise Rejected(
                    f"`{key}` can not be admitted: {why}", remedy="declare it under `servers` yourself"
                )
            return await self._decide(key, row, EventKind.SERVER_ADMITTED, by=by)

    async def reject(self, key: str, *, by: Principal, why: str) -> FoundRow:
        """Keep a server out, whatever its source says of it from now on. Raises `Rejected`."""
        async with self._changing:
            row = replace(self._known(key), state=FoundState.REJECTED, by=by.user, candidate=None)
            return await self._decide(key, row, EventKind.SERVER_REJECTED, by=by, why=why)

    async def _decide(
        self, key: str, row: FoundRow, kind: EventKind, *, by: Principal, why: str = ""
    ) -> FoundRow:
        if not by.is_person:
            raise Rejected("only a person's own credential may do that", code=ReasonCode.UNAUTHENTICATED)
        row = replace(row, since_ns=self._clock.now_ns())
        body = {"server": key, **_told(row.server), "by": by.as_json(), "note": why}
        await self._store.commit(
            [self._auditor.event(kind, body=body)], [Put(Table.FOUND, key, row_to_json(row))]
        )
        self._rows[key] = row
        return row

    def _known(self, key: str) -> FoundRow:
        row = self._rows.get(key)
        if row is None:
            raise Rejected(f"no found server `{key[:100]}`", remedy="see `toolward discovery list`")
        return row


Changed = Callable[[], Awaitable[object]]
"""Puts the found servers as they are now in force."""


def _told(server: FoundServer) -> dict[str, Any]:
    """What a record says of a server: who names it, and how it would be reached."""
    way = server.url or server.package or " ".join(server.command)
    return {"source": server.source, "name": server.name, "version": server.version, "way": way[:500]}
