"""All tools that are served, as a caller may see them: listed, found by words, or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from toolward.kernel.registry.registry import Registry
from toolward.kernel.registry.shelf import LISTED
from toolward.kernel.revision import ActiveRevision
from toolward.model.objective import Step
from toolward.model.permit import Permit
from toolward.model.session import Session
from toolward.model.tool import SEPARATOR, Channel, ToolState, ToolVersion
from toolward.rules.search import TextIndex, words_of
from toolward.rules.step import names_tool

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


@dataclass(frozen=True, slots=True)
class View:
    """Who looks, under which revision; in a session with an objective, from which step of it."""

    session: Session
    revision: ActiveRevision
    step: Step | None

    @classmethod
    def of(cls, permit: Permit, revision: ActiveRevision) -> View:
        """What the caller of a permitted action sees."""
        resolved = permit.labelled.resolved
        return cls(resolved.call.session, revision, resolved.step)

    @property
    def channel(self) -> Channel:
        """Whose tools the caller is served."""
        return self.revision.channel_of(self.session.principal.agent)

    def may_name(self, key: str) -> bool:
        """Whether the step, if there is one, uses this tool."""
        return self.step is None or names_tool(self.step, key)


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

    def listed(self, view: View, *, server: str) -> Iterator[Mapping[str, Any]]:
        """Definitions of what stands in the plain list, in order of server and name."""
        _ = self._synced(view)
        for pin in self._registry.pins(view.channel):
            if (server and pin.server != server) or pin.state not in LISTED:
                continue
            found = self._shown(pin.key, view)
            if found is not None:
                yield found.definition if server else {**found.definition, "name": found.name}

    def find(self, query: str, view: View, *, limit: int) -> list[Shown]:
        """What fits the words of `query` best, best first."""
        index = self._synced(view)
        seen: dict[str, Shown] = {}

        def shown(key: str) -> bool:
            found = self._shown(key, view)
            if found is not None:
                seen[key] = found
            return found is not None

        return [seen[key] for key in index.find(query, shown=shown, limit=limit)]

    def shown(self, name: str, view: View) -> Shown | None:
        """The tool of that name at the aggregated endpoint; None where there is none for this caller."""
        server, separator, tool = name.partition(SEPARATOR)
        return self._shown(f"{server}/{tool}", view) if separator else None

    def _shown(self, key: str, view: View) -> Shown | None:
        channel = view.channel
        pin = self._registry.pin(key, channel)
        if (
            pin is None
            or not view.may_name(key)
            or pin.state not in SOUGHT
            or view.revision.binding(pin.server) is None
        ):
            return None
        served = self._registry.serving(key, channel, view.session)
        if served is None or served[1] not in SOUGHT:
            return None
        version, state = served
        found = state is ToolState.DISCOVERED
        if not view.revision.book.visible(view.session.principal, version, approved=not found, found=found):
            return None
        definition = self._read.get(version.digest)
        if definition is None:
            definition = self._read[version.digest] = orjson.loads(version.definition)
        if state is ToolState.DEPRECATED:
            note = {DEPRECATED_META: {"successor": pin.successor}}
            definition = {**definition, "_meta": {**(definition.get("_meta") or {}), **note}}
        return Shown(f"{pin.server}{SEPARATOR}{pin.name}", version, state, definition)

    def _synced(self, view: View) -> TextIndex:
        """The index of the caller's channel, brought to the pins of this revision.

        That takes a look at each pin, and the words of what changed.
        """
        channel = view.channel
        here = self._channels.setdefault(channel, _Channel())
        if here.revision != view.revision.digest:
            self._sync(
                here, {pin.key: pin.digest for pin in self._registry.pins(channel) if pin.state in SOUGHT}
            )
            here.revision = view.revision.digest
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
