"""What a look at a server's definitions does to the pins of all channels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from toolward.kernel.registry.shelf import Shelf, put_version
from toolward.model.event import Event, EventKind
from toolward.model.incident import IncidentKind
from toolward.model.pin import Pin
from toolward.model.tool import Channel, Manifest, ToolState, ToolVersion
from toolward.ports.store import Change as Write
from toolward.ports.upstream import ServerDescription
from toolward.rules.lifecycle import Change, compare, next_state
from toolward.rules.version import alike, but_for_its_name, drifted_aspects, is_bound, make_version

ManifestOf = Callable[[str, Mapping[str, Any]], Manifest]
"""The manifest for (server, definition): the ward's file, the catalogue, the hints, or the worst case."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One listed tool beside its pin: what changed; `state` is that of the ward's own channel."""

    tool: str
    change: Change
    state: ToolState
    aspects: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One look: the identity of the binding that was asked, those of the server's other ones."""

    description: ServerDescription
    binding: str
    others: Sequence[str] = ()
    found: bool = False  # a source named the server: what it lists is found, not proposed


@dataclass(slots=True)
class _Changes:
    """What a look leads to, to be committed together."""

    events: list[Event] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    pins: list[tuple[Channel, Pin]] = field(default_factory=list)


_FIRST: Final = {Change.FOUND: ToolState.DISCOVERED, Change.RENAMED: ToolState.QUARANTINED}
"""How a tool begins that is not simply proposed."""
_REPLACED: Final = frozenset({ToolState.PROPOSED, ToolState.TESTED})
"""Nobody stands for what is pinned, so what is listed now takes its place."""


class Observing:
    """Compares what a server lists with what is pinned: quarantines what drifted, proposes what is new."""

    def __init__(self, shelf: Shelf, *, manifest_of: ManifestOf) -> None:
        self._shelf = shelf
        self._manifest_of = manifest_of
        self._said: dict[str, bytes | None] = {}  # during one look: digest -> definition but for its name

    async def __call__(self, looked: Looked) -> list[Comparison]:
        """What was found for each tool that is listed; the pins are moved when it returns."""
        async with self._shelf.changing:
            changes = _Changes()
            self._said.clear()
            self._shelf.findings.listed(looked.description.server, looked.description.tools)
            findings = []
            for each in looked.description.tools:
                await asyncio.sleep(0)  # reading a long list keeps no call waiting
                findings.append(self._one(looked, each, changes))
            if changes.pins:
                await self._shelf.commit(changes.events, changes.writes, changes.pins)
            return findings

    def _one(self, looked: Looked, definition: Mapping[str, Any], changes: _Changes) -> Comparison:
        server, shelf = looked.description.server, self._shelf
        manifest = self._manifest_of(server, definition)
        seen = shelf.keep(make_version(server, definition, binding=looked.binding, manifest=manifest))
        finding = None
        for channel in Channel:
            old = shelf.pin(seen.key, channel)
            if old is None and channel is not shelf.home():
                continue  # a promotion puts it there, not a server
            found = self._in_channel(looked, old, seen, channel, changes)
            if channel is shelf.home():
                finding = found
        return finding or Comparison(seen.key, Change.SAME, ToolState.PROPOSED, ())

    def _in_channel(
        self, looked: Looked, old: Pin | None, seen: ToolVersion, channel: Channel, changes: _Changes
    ) -> Comparison:
        pinned = self._shelf.of(old) if old else None
        change = self._change(looked, old, pinned, seen)
        twin = self._twin(seen) if change in (Change.NEW, Change.FOUND) else None
        if twin is not None and twin.state in (ToolState.QUARANTINED, ToolState.REVOKED):
            change = Change.RENAMED
        pin = self._without_drifted(self._next_pin(looked, old, seen, change, twin), seen)
        aspects = _aspects(pinned, seen)
        if pin != old:
            changes.pins.append((channel, pin))
            changes.writes.append(put_version(seen))
            self._describe(changes, old, pin, aspects, seen=seen, channel=channel)
        return Comparison(seen.key, change, pin.state, aspects)

    @staticmethod
    def _change(looked: Looked, old: Pin | None, pinned: ToolVersion | None, seen: ToolVersion) -> Change:
        change = compare(old, pinned, seen)
        if change is Change.NEW and looked.found:
            return Change.FOUND
        if change is not Change.DRIFTED or pinned is None or is_bound(pinned, looked.binding):
            return change
        # what another variant of the server runs has not changed because this one lists something else
        return Change.OFFERED if any(is_bound(pinned, each) for each in looked.others) else change

    def _twin(self, seen: ToolVersion) -> Pin | None:
        """A tool of the same server that is described by the same words under another name.

        The one that is held first: a new name is no way out of a quarantine or a revocation.
        """
        words = but_for_its_name(seen)
        twins = [
            pin
            for pin in self._shelf.pins()
            if words is not None
            and pin.server == seen.server
            and pin.name != seen.name
            and words in {self._words(digest) for digest in (pin.digest, pin.candidate) if digest}
        ]
        held = (ToolState.QUARANTINED, ToolState.REVOKED)
        return min(twins, key=lambda pin: pin.state not in held, default=None)

    def _words(self, digest: str) -> bytes | None:
        if digest not in self._said:
            version = self._shelf.version(digest)
            self._said[digest] = but_for_its_name(version) if version is not None else None
        return self._said[digest]

    def _next_pin(
        self, looked: Looked, old: Pin | None, seen: ToolVersion, change: Change, twin: Pin | None
    ) -> Pin:
        now = self._shelf.clock.now_ns()
        if old is None:
            return Pin(
                server=seen.server,
                name=seen.name,
                digest=seen.digest,
                state=_FIRST.get(change, ToolState.PROPOSED),
                since_ns=now,
                formerly=twin.key if twin is not None else "",
            )
        state = next_state(old.state, change)
        if change is Change.SAME:
            return old
        if change is Change.OFFERED:
            return self._offered(looked, old, seen)
        if old.state in _REPLACED or (old.state is ToolState.DISCOVERED and change is Change.REDESCRIBED):
            return replace(old, digest=seen.digest, state=state, since_ns=now)
        if state is old.state and old.candidate == seen.digest:
            return old
        return replace(old, state=state, candidate=seen.digest, since_ns=now)

    def _offered(self, looked: Looked, old: Pin, seen: ToolVersion) -> Pin:
        kept = [
            digest
            for digest in old.offers
            if (version := self._shelf.version(digest)) is not None and not is_bound(version, looked.binding)
        ]
        if seen.digest in old.offers:
            return old
        return replace(old, offers=(*kept, seen.digest))

    def _without_drifted(self, pin: Pin, seen: ToolVersion) -> Pin:
        """What a server no longer lists as it was is served to no session, however old: it would not run.

        Sessions that had it are served what the channel serves now.
        """

        def runs(digest: str) -> bool:
            version = self._shelf.version(digest)
            same_server = version is not None and is_bound(version, seen.binding)
            return version is not None and (not same_server or alike(version, seen))

        history = tuple(each for each in pin.history if runs(each.digest))
        canary = pin.canary if pin.canary is not None and runs(pin.canary.digest) else None
        if history == pin.history and canary == pin.canary:
            return pin
        return replace(pin, history=history, canary=canary)

    def _describe(
        self,
        changes: _Changes,
        old: Pin | None,
        pin: Pin,
        aspects: tuple[str, ...],
        *,
        seen: ToolVersion,
        channel: Channel,
    ) -> None:
        quarantined = pin.state is ToolState.QUARANTINED and (old is None or old.state is not pin.state)
        shelf = self._shelf
        changes.events.append(
            shelf.auditor.event(
                EventKind.TOOL_QUARANTINED if quarantined else EventKind.TOOL_PROPOSED,
                tool=pin.key,
                body={
                    "pinned": pin.digest,
                    "candidate": pin.candidate or seen.digest,
                    "aspects": list(aspects),
                    "channel": channel.value,
                    "state": pin.state.value,
                    **shelf.findings.recorded(seen),
                    **({"formerly": pin.formerly} if pin.formerly else {}),
                },
                payloads={"definition": seen.definition},
            )
        )
        if quarantined:
            incident, put = shelf.incidents.open(
                IncidentKind.QUARANTINE,
                pin.key,
                _why(pin, aspects),
                contained=True,
            )
            changes.events.append(incident)
            changes.writes.append(put)


def _why(pin: Pin, aspects: tuple[str, ...]) -> str:
    if pin.formerly and not aspects:
        return f"{pin.key} is another name of {pin.formerly}, which is not served"
    return f"the definition of {pin.key} changed: {', '.join(aspects) or 'binding'}"


def _aspects(pinned: ToolVersion | None, seen: ToolVersion) -> tuple[str, ...]:
    if pinned is None:
        return ()
    aspects = drifted_aspects(orjson.loads(pinned.definition), orjson.loads(seen.definition))
    return aspects if pinned.binding == seen.binding else (*aspects, "binding")
