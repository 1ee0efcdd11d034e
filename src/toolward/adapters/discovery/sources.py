"""`ports.sources.Sources` over HTTP and the file system."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from typing_extensions import override

from toolward.adapters.discovery.fetching import Fetching
from toolward.config.clients.runners import recognise
from toolward.errors import ReasonCode, Rejected, ToolFailed
from toolward.model.found import FoundServer, Reading, Source, SourceKind
from toolward.ports.egress import EgressRefused
from toolward.ports.sources import Sources
from toolward.rules.found.reading import PAGE_BYTES_MAX, Page, read_file, read_page

PAGES_MAX: Final = 100
"""Of one registry at one look."""
PAGE_LIMIT: Final = 100
"""Servers that a page is asked for; the public registry's own limit."""
FILES_MAX: Final = 1_000
REFUSED_MAX: Final = 50
"""Told of by name at one look; the rest is counted."""
_PATH: Final = "/v0/servers"


class StrangersSources(Sources):
    """Registries and directories. Proposals come from agents, so there is nothing to read."""

    def __init__(self, fetching: Fetching) -> None:
        self._fetching = fetching

    @override
    async def read(self, source: Source) -> Reading:
        collected = _Collected(source)
        match source.kind:
            case SourceKind.REGISTRY:
                await self._read_registry(source, collected)
            case SourceKind.DIRECTORY:
                await asyncio.to_thread(_read_directory, source, collected)
            case SourceKind.PROPOSALS:
                pass
        return collected.reading()

    async def _read_registry(self, source: Source, collected: _Collected) -> None:
        base = source.place.rstrip("/")
        address = base if base.endswith("/servers") else base + _PATH
        cursor, seen = "", set[str]()
        for number in range(PAGES_MAX):
            more = f"&cursor={quote(cursor, safe='')}" if cursor else ""
            try:
                page = read_page(
                    await self._fetching.get(
                        f"{address}?limit={PAGE_LIMIT}{more}",
                        whose=f"source:{source.name}",
                        private_network=source.private_network,
                        bytes_max=PAGE_BYTES_MAX,
                    ),
                    source=source.name,
                )
            except (OSError, EgressRefused, Rejected, ValueError) as no:
                if number == 0:
                    raise _unreadable(source, no) from no
                collected.refuse(f"page {number + 1}", _words(no))
                return
            seen.add(cursor)
            collected.take(page)
            if page.cursor in seen and page.cursor:
                collected.refuse(
                    f"page {number + 2}", "its cursor was there before: the list goes in a circle"
                )
            if not page.cursor or page.cursor in seen or collected.is_full:
                return
            cursor = page.cursor
        collected.refuse("", f"more than {PAGES_MAX} pages")


class _Collected:
    """What was read so far. The first of a name stands, and a name in another case is the same name."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._servers: dict[str, FoundServer] = {}
        self._refused: list[tuple[str, str]] = []
        self._left_out = 0
        self.is_full = False

    def take(self, page: Page) -> None:
        for name, why in page.refused:
            self.refuse(name, why)
        for server in page.servers:
            folded = server.name.casefold()
            if folded in self._servers:
                self.refuse(server.name, "its name was listed before")
            elif len(self._servers) >= self._source.servers_max:
                self.is_full = True
                self._left_out += 1
            else:
                self._servers[folded] = server

    def refuse(self, name: str, why: str) -> None:
        if len(self._refused) < REFUSED_MAX:
            self._refused.append((name, why))
        else:
            self._left_out += 1

    def reading(self) -> Reading:
        return Reading(
            servers=tuple(self._servers.values()), refused=tuple(self._refused), left_out=self._left_out
        )


def _read_directory(source: Source, collected: _Collected) -> None:
    try:
        files = sorted(Path(source.place).iterdir())
    except OSError as no:
        raise _unreadable(source, no) from no
    for path in _descriptions(files):
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise Rejected("not a plain file")  # noqa: TRY301 -- told of like what the reader says
            with path.open("rb") as stream:
                page = read_file(stream.read(PAGE_BYTES_MAX + 1), source=source.name)
            collected.take(replace(page, servers=tuple(_as_package(each) for each in page.servers)))
        except (OSError, Rejected) as no:
            collected.refuse(path.name, _words(no))


def _as_package(server: FoundServer) -> FoundServer:
    """A client's entry that runs a package runner, as the package: no runner and no cache is in a cage."""
    if not server.command:
        return server
    launch = recognise(server.command[0], server.command[1:], resolve_version=None, known={})
    if launch.package and not launch.entry and not launch.constraints:
        return replace(server, package=launch.package, command=(), arguments=launch.arguments)
    if launch.package or launch.note:
        return replace(server, command=(), unfit=launch.note or "its package is not run as it is")
    return server


def _descriptions(files: Iterable[Path]) -> list[Path]:
    return [path for path in files if path.suffix == ".json" and not path.name.startswith(".")][:FILES_MAX]


def _words(no: Exception) -> str:
    """Why, without what the source could have written there."""
    match no:
        case Rejected():
            return no.reason.text[:200]
        case EgressRefused():
            return no.refusal.sentence()
        case TimeoutError():
            return "it did not answer in time"
        case OSError():
            return (no.strerror or str(no))[:200]
        case _:
            return type(no).__name__


def _unreadable(source: Source, no: Exception) -> ToolFailed:
    return ToolFailed(
        f"the source `{source.name}` could not be read: {_words(no)}",
        code=ReasonCode.TOOL_UNREACHABLE,
        remedy="see that its place is right and answers",
    )
