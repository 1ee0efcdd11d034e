"""All tools that are served, as a caller may see them: listed, found by words, or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from toolward.kernel.registry.registry import Registry
from toolward.kernel.registry.shelf import LISTED
from toolward.kernel.revision import ActiveRevision
from toolward.model.session import Session
from toolward.model.tool import SEPARATOR, Channel, ToolState, ToolVersion
from toolward.rules.search import TextIndex, words_of

DEPRECATED_META: Final = "dev.toolward/deprecated"
"""In the `_meta` of a deprecated tool's definition: who takes its place."""
NAME_WEIGHT: Final = 3
"""A word of the name or the title counts as often as three of the description."""
SOUGHT: Final = LISTED | {ToolState.DISCOVERED}
"""States in which a tool can be found by searching."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A tool that this caller may see; `name` is what it is called by at the aggregated endpoint."""

    name: str
    version: ToolVersion
    state: ToolState
    definition: Mapping[str, Any]

    @property
    def is_found(self) -> bool:
        """Whether no person has approved its words."""
        return self.state is ToolState.DISCOVERED


@dataclass(slots=True)
class _Channel:
    """One channel's words; `keys` says of which version they are, `revision` up to which it is so."""

    index: TextIndex = field(default_factory=TextIndex)
    keys: dict[str, str] = field(default_factory=dict)
    revision: str = ""


class ToolCatalogue:
    """The registry as callers see it. What is visible is asked of the policy for each caller, each time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._channels: dict[Channel, _Channel] = {}
        self._read: dict[str, Mapping[str, Any]] = {}  # digest -> definition

    def listed(
        self, session: Session, revision: ActiveRevision, *, server: str
    ) -> Iterator[Mapping[str, Any]]:
        """Definitions of what stands in the plain list, in order of server and name."""
        _ = self._synced(session, revision)
        for pin in self._registry.pins(revision.channel_of(session.principal.agent)):
            if (server and pin.server != server) or pin.state not in LISTED:
                continue
            found = self._shown(pin.key, session, revision)
            if found is not None:
                yield found.definition if server else {**found.definition, "name": found.name}

    def find(self, query: str, session: Session, revision: ActiveRevision, *, limit: int) -> list[Shown]:
        """What fits the words of `query` best, best first."""
        index = self._synced(session, revision)
        seen: dict[str, Shown] = {}

        def shown(key: str) -> bool:
            found = self._shown(key, session, revision)
            if found is not None:
                seen[key] = found
            return found is not None

        return [seen[key] for key in index.find(query, shown=shown, limit=limit)]

    def shown(self, name: str, session: Session, revision: ActiveRevision) -> Shown | None:
        """The tool of that name at the aggregated endpoint; None where there is none for this caller."""
        server, separator, tool = name.partition(SEPARATOR)
        return self._shown(f"{server}/{tool}", session, revision) if separator else None

    def _shown(self, key: str, session: Session, revision: ActiveRevision) -> Shown | None:
        channel = revision.channel_of(session.principal.agent)
        pin = self._registry.pin(key, channel)
        if pin is None or pin.state not in SOUGHT or revision.binding(pin.server) is None:
            return None
        served = self._registry.serving(key, channel, session)
        if served is None or served[1] not in SOUGHT:
            return None
        version, state = served
        found = state is ToolState.DISCOVERED
        if not revision.book.visible(session.principal, version, approved=not found, found=found):
            return None
        definition = self._read.get(version.digest)
        if definition is None:
            definition = self._read[version.digest] = orjson.loads(version.definition)
        if state is ToolState.DEPRECATED:
            note = {DEPRECATED_META: {"successor": pin.successor}}
            definition = {**definition, "_meta": {**(definition.get("_meta") or {}), **note}}
        return Shown(f"{pin.server}{SEPARATOR}{pin.name}", version, state, definition)

    def _synced(self, session: Session, revision: ActiveRevision) -> TextIndex:
        """The index of the caller's channel, brought to the pins of this revision.

        That takes a look at each pin, and the words of what changed.
        """
        channel = revision.channel_of(session.principal.agent)
        here = self._channels.setdefault(channel, _Channel())
        if here.revision != revision.digest:
            self._sync(
                here, {pin.key: pin.digest for pin in self._registry.pins(channel) if pin.state in SOUGHT}
            )
            here.revision = revision.digest
        return here.index

    def _sync(self, here: _Channel, sought: Mapping[str, str]) -> None:
        for key in [key for key, digest in here.keys.items() if sought.get(key) != digest]:
            here.index.drop(key)
            self._read.pop(here.keys.pop(key), None)
        for key, digest in sought.items():
            version = self._registry.version(digest)
            if key not in here.keys and version is not None:
                here.index.put(key, _words(version))
                here.keys[key] = digest


def _words(version: ToolVersion) -> list[str]:
    definition = orjson.loads(version.definition)
    schema = definition.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    names = f"{version.server} {version.name} {definition.get('title', '')}"
    arguments = " ".join(properties) if isinstance(properties, Mapping) else ""
    named = words_of(names) * NAME_WEIGHT
    return [*named, *words_of(arguments), *words_of(str(definition.get("description", "")))]
