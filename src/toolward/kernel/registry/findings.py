"""The findings of the registry's versions, found once for each and again when their neighbours change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import orjson

from toolward.errors import Denied, ReasonCode
from toolward.model.finding import Finding, Severity, gravest_first
from toolward.model.pin import Pin
from toolward.model.tool import ToolState, ToolVersion
from toolward.rules.findings import Known, Neighbours, examine, nameless, renamed_from

CACHED_MAX: Final = 20_000
"""Versions whose findings are remembered; past this they are found again."""
_PACKAGES: Final = ("pypi:", "npm:")
_LAST: Final = 1 << 63
"""Since when a tool is there that was never seen before: after all others."""


class Pinned(Protocol):
    """The registry, as far as findings need it."""

    def pins(self) -> Iterator[Pin]:
        """All pins in order."""
        ...

    def pin(self, key: str) -> Pin | None:
        """One pin."""
        ...

    def version(self, digest: str) -> ToolVersion | None:
        """One version."""
        ...


class _Held(NamedTuple):
    """A tool that was approved, and its definition without names."""

    name: str
    definition: bytes
    since_ns: int


class Findings:
    """What looks wrong about a version, alone and beside the other tools of the ward."""

    def __init__(self, shelf: Pinned) -> None:
        self._shelf = shelf
        self._alone: dict[str, tuple[Finding, ...]] = {}
        self._found: dict[str, tuple[Finding, ...]] = {}
        self._neighbours: Neighbours | None = None
        self._held: dict[str, list[_Held]] | None = None
        self._listed: dict[str, frozenset[str]] = {}

    def of(self, version: ToolVersion) -> tuple[Finding, ...]:
        """All findings of a version, the gravest first. Takes about a millisecond the first time."""
        known = self._found.get(version.digest)
        if known is not None:
            return known
        definition = orjson.loads(version.definition)
        alone = self._alone.get(version.digest)
        if alone is None:
            if len(self._alone) >= CACHED_MAX:
                self._alone.clear()
            alone = self._alone[version.digest] = examine(definition)
        if self._neighbours is None:
            self._neighbours = Neighbours(self._known())
        beside = self._neighbours.examine(_known(version, self._shelf.pin(version.key)), definition)
        found = gravest_first((*alone, *beside, *self._renamed(version)))
        if self._shelf.pin(version.key) is not None:  # else it is about to be pinned, and others with it
            self._found[version.digest] = found
        return found

    def require_accepted(self, version: ToolVersion, *, accepted: bool) -> tuple[Finding, ...]:
        """The findings of a version that a person approves. Raises `Denied` for one that blocks."""
        found = self.of(version)
        blocking = [each for each in found if each.severity is Severity.BLOCK]
        if blocking and not accepted:
            first = blocking[0]
            raise Denied(
                f"{version.key} has a finding that blocks: {first.id} at `{first.where}`, {first.text}",
                code=ReasonCode.FINDING_NOT_ACCEPTED,
                remedy=f"look at it with `toolward tools show {version.key}`; who has seen it and wants it"
                " all the same approves with --accept-findings",
            )
        return found

    def previous_name(self, version: ToolVersion) -> str:
        """`server/name` of the approved tool that this new one was until it was renamed, or ''."""
        pin = self._shelf.pin(version.key)
        if pin is not None and (pin.digest != version.digest or pin.state is not ToolState.PROPOSED):
            return ""
        held = self._held_of(version.server)
        before = [each for each in held if pin is None or each.since_ns < pin.since_ns]
        if not before:
            return ""
        listed = self._listed.get(version.server)
        gone = {
            each.name: each.definition for each in before if listed is not None and each.name not in listed
        }
        kept = {each.definition: each.name for each in before if each.name != version.name}
        name = renamed_from(nameless(orjson.loads(version.definition)), gone, kept)
        return f"{version.server}/{name}" if name else ""

    def _held_of(self, server: str) -> list[_Held]:
        """What a person approved once, by server; found again when pins change."""
        if self._held is None:
            self._held = {}
            for pin in self._shelf.pins():
                version = self._shelf.version(pin.digest)
                if version is not None and pin.state is not ToolState.PROPOSED:
                    body = nameless(orjson.loads(version.definition))
                    self._held.setdefault(pin.server, []).append(_Held(pin.name, body, pin.since_ns))
        return self._held.get(server, [])

    def recorded(self, version: ToolVersion) -> dict[str, Any]:
        """What is written down with a version that was seen for the first time."""
        said: dict[str, Any] = {"findings": in_words(self.of(version))}
        if before := self.previous_name(version):
            said["renamed_from"] = before
        return said

    def gone(self, server: str) -> frozenset[str]:
        """Names of pinned tools that the server did not list at the last comparison of this process."""
        listed = self._listed.get(server)
        if listed is None:
            return frozenset()
        return frozenset(pin.name for pin in self._shelf.pins() if pin.server == server) - listed

    def listed(self, server: str, definitions: Iterable[Mapping[str, object]]) -> None:
        """What the server lists now."""
        self._listed[server] = frozenset(str(each.get("name", "")) for each in definitions)
        self._found.clear()  # a tool that is gone may be another one now

    def changed(self) -> None:
        """Pins are others now: what stands beside a tool is looked up again."""
        self._neighbours = self._held = None
        self._found.clear()

    def _renamed(self, version: ToolVersion) -> Iterator[Finding]:
        if before := self.previous_name(version):
            yield Finding(
                id="renamed",
                severity=Severity.WARN,
                where="/name",
                text=f"is what {before} was: the same tool under another name",
                remedy=f"an approval does not follow a name: see `toolward tools diff {version.key}`",
            )

    def _known(self) -> Iterator[Known]:
        for pin in self._shelf.pins():
            version = self._shelf.version(pin.digest)
            if version is not None:
                yield _known(version, pin)


def in_words(findings: Iterable[Finding]) -> list[str]:
    """Severity, id and place: what a record says, which holds nothing of the definition."""
    return [f"{each.severity}: {each.id} at {each.where}"[:300] for each in findings]


def _known(version: ToolVersion, pin: Pin | None) -> Known:
    words = version.binding.split(" ", 2)
    packaged = len(words) > 1 and words[1].startswith(_PACKAGES)
    return Known(
        server=version.server,
        name=version.name,
        program=words[1] if packaged else version.binding,
        definition_digest=version.definition_digest,
        held=pin is not None and pin.state is not ToolState.PROPOSED,  # under this name, whatever it is now
        since_ns=pin.since_ns if pin is not None else _LAST,
    )
