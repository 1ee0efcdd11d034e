"""The versions and pins of all channels, as the store has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import orjson

from toolward.errors import CallerError, Denied, Rejected, WardError
from toolward.errors import ReasonCode as Code
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.registry.findings import Findings
from toolward.kernel.registry.pins import pin_from_json, pin_to_json
from toolward.model.event import Event
from toolward.model.pin import Pin
from toolward.model.session import Session
from toolward.model.tool import Channel, ToolState, ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.store import Change as Write
from toolward.ports.store import Delete, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.schema import ArgumentSchema, compile_schema
from toolward.rules.serving import is_kept, version_for
from toolward.rules.version import alike, version_from_json, version_to_json

LISTED: Final = frozenset({ToolState.APPROVED, ToolState.DEPRECATED, ToolState.QUARANTINED})
"""States whose tools are listed: a quarantined tool does not vanish from under an agent (decision 5)."""


class Shelf:
    """What is pinned. The store is the truth and this is its exact copy in memory.

    Every change is committed first, with its audit record, and then applied here (`commit`). Where no channel
    is named, the ward's own is meant.
    """

    def __init__(
        self,
        store: Store,
        auditor: Auditor,
        incidents: Incidents,
        *,
        clock: Clock,
        channel: Callable[[], Channel],
    ) -> None:
        self.store = store
        self.auditor = auditor
        self.incidents = incidents
        self.clock = clock
        self.home = channel
        self.check_class: Callable[[ToolVersion], None] = lambda _: None  # raises for what is not admitted
        self._versions: dict[str, ToolVersion] = {}
        self._pins: dict[Channel, dict[str, Pin]] = {each: {} for each in Channel}
        self._schemas: dict[str, ArgumentSchema] = {}
        # one change at a time, from reading a pin to its commit: else a comparison that began before a person
        # revoked a tool would write its old state back
        self.changing = asyncio.Lock()
        self.findings = Findings(self)
        self._load()

    # --- reading ----------------------------------------------------------------------------------

    def pins(self, channel: Channel | None = None) -> Iterator[Pin]:
        """All pins of a channel in order of server and name."""
        pins = self._pins[channel or self.home()]
        for key in sorted(pins):
            yield pins[key]

    def every_pin(self) -> Iterator[tuple[Channel, Pin]]:
        """The pins of all channels."""
        for channel in Channel:
            for pin in self.pins(channel):
                yield channel, pin

    def pin(self, key: str, channel: Channel | None = None) -> Pin | None:
        """The pin of `server/name`."""
        return self._pins[channel or self.home()].get(key)

    def known(self, key: str, channel: Channel | None = None) -> Pin:
        """The pin of `server/name`. Raises `Rejected` if there is none."""
        pin = self.pin(key, channel)
        if pin is None:
            where = "" if channel in (None, self.home()) else f" in the channel {channel}"
            raise Rejected(
                f"no tool `{key}`{where}", code=Code.UNKNOWN_TOOL, remedy="see `toolward tools list`"
            )
        return pin

    def version(self, digest: str) -> ToolVersion | None:
        """A version by its digest."""
        return self._versions.get(digest)

    def of(self, pin: Pin) -> ToolVersion:
        """The version that a pin names."""
        return self._versions[pin.digest]

    def served(self, key: str, channel: Channel | None = None) -> tuple[Pin, ToolVersion] | None:
        """What a channel serves new sessions for `server/name`, or would if it were not quarantined."""
        pin = self.pin(key, channel)
        if pin is None or pin.state not in LISTED:
            return None
        return pin, self._versions[pin.digest]

    def serving(self, key: str, channel: Channel, session: Session) -> tuple[ToolVersion, ToolState] | None:
        """The version that a session is served, and how it stands; None for a tool that nobody knows.

        It is what the channel served when the session was opened. What is quarantined or revoked stands so
        for every session: whoever asks has to look at the state.
        """
        pin = self._pins[channel].get(key)
        if pin is None:
            return None
        digest = pin.digest
        if pin.history or pin.canary is not None:
            now_ns = self.clock.now_ns()
            digest = version_for(pin, session.session_id, session.opened_ns, now_ns=now_ns)
        if digest == pin.digest or pin.state is ToolState.REVOKED:
            return self._versions[pin.digest], pin.state
        # people stood for it when the session was opened; a warning is for every session
        state = ToolState.DEPRECATED if pin.state is ToolState.DEPRECATED else ToolState.APPROVED
        return self._versions[digest], state

    def tried(self, key: str, channel: Channel) -> ToolVersion:
        """What copies of calls are run with. Raises `Denied` where none are any more."""
        pin = self._pins[channel].get(key)
        if pin is None or pin.canary is None or not pin.canary.copies or not pin.state.stands:
            raise Denied(f"no copies of calls of {key} are run", code=Code.STALE_DEFINITION)
        return self._versions[pin.canary.digest]

    def for_undo(self, key: str, digest: str) -> ToolVersion | None:
        """The version that may still undo: what was served then, as long as its server is the same.

        Quarantine and revocation do not stand in the way, a definition or binding that differs does: what
        would run then is not what was looked at when its undo was promised.
        """
        wanted = self._versions.get(digest)
        if wanted is None or wanted.key != key or digest not in self._schemas:
            return None
        for pins in self._pins.values():
            pin = pins.get(key)
            if pin is None:
                continue
            pinned, seen = self._versions[pin.digest], self._versions.get(pin.candidate or pin.digest)
            if seen is not None and alike(pinned, wanted) and alike(seen, wanted):
                return pinned if pinned.digest in self._schemas else None
            if pin.served_once(digest):
                return wanted
        return None

    def versions(self) -> list[ToolVersion]:
        """The versions that a call could resolve to in any channel, for the policy compiler."""
        found: dict[str, ToolVersion] = {}
        now_ns = self.clock.now_ns()
        for _, pin in self.every_pin():
            digests = [pin.digest, *(each.digest for each in pin.history if is_kept(each, now_ns))]
            if pin.canary is not None:
                digests.append(pin.canary.digest)
            for digest in digests:
                found[digest] = self._versions[digest]
        return list(found.values())

    def schema(self, version: ToolVersion) -> ArgumentSchema:
        """The compiled input schema of a version."""
        return self._schemas[version.digest]

    def usable(self, key: str, digest: str) -> ToolVersion:
        """A version of this tool that can be served. Raises `Rejected`, `WardError`."""
        version = self._versions.get(digest)
        if version is None or version.key != key:
            raise Rejected(f"`{digest}` is no version of {key}", remedy="see `toolward tools show`")
        if digest not in self._schemas:
            raise WardError(
                f"the input schema of {key} can not be used", remedy="the server's author has to mend it"
            )
        return version

    def diff(self, key: str) -> tuple[ToolVersion, ToolVersion | None]:
        """The pinned version and the candidate that differs. Raises `Rejected` if unknown."""
        pin = self.known(key)
        return self._versions[pin.digest], self._versions.get(pin.candidate)

    # --- changing ---------------------------------------------------------------------------------

    async def commit(
        self, events: Sequence[Event], writes: Sequence[Write], pins: Sequence[tuple[Channel, Pin]]
    ) -> None:
        """Make the new pins durable with what is said of them, then the ones that are read.

        Versions that nothing points to any more go; what they were stays in the audit. So a server that
        changes its definition with every look can not fill the registry.
        """
        gone = self._unnamed(pins)
        await self.store.commit(
            events,
            [
                *writes,
                *(put_pin(channel, pin) for channel, pin in pins),
                *(Delete(Table.TOOL_VERSION, digest) for digest in gone),
            ],
        )
        for channel, pin in pins:
            self._pins[channel][pin.key] = pin
        for digest in gone:
            self._versions.pop(digest, None)
            self._schemas.pop(digest, None)
        self.findings.changed()

    def keep(self, version: ToolVersion) -> ToolVersion:
        """The version as it is known here; not durable before it is part of a commit (`put_version`)."""
        known = self._versions.get(version.digest)
        if known is None:
            self._remember(version)
        return known or version

    def _unnamed(self, pins: Sequence[tuple[Channel, Pin]]) -> list[str]:
        """The versions that only the pins of before named."""
        changed = {(channel, pin.key): pin for channel, pin in pins}
        before: set[str] = set()
        after: set[str] = set()
        for key in {pin.key for _, pin in pins}:
            for channel, known in self._pins.items():
                old = known.get(key)
                new = changed.get((channel, key), old)
                before |= old.names() if old else frozenset()
                after |= new.names() if new else frozenset()
        return sorted(before - after)

    def _remember(self, version: ToolVersion) -> None:
        self._versions[version.digest] = version
        schema = orjson.loads(version.definition).get("inputSchema", {})
        try:
            self._schemas[version.digest] = compile_schema(schema, where=version.key)
        except (WardError, CallerError):
            # Kept as a version so that people can look at it; without a schema it can not be approved.
            self._schemas.pop(version.digest, None)

    def _load(self) -> None:
        for row in self.store.scan(Table.TOOL_VERSION):
            version = version_from_json(orjson.loads(row.body))
            if version.digest != row.key:
                raise WardError(
                    f"the stored version `{row.key}` does not have the content of its digest",
                    remedy="the state was tampered with: run `toolward audit verify` and restore a backup",
                )
            self._remember(version)
        for channel in Channel:
            for row in self.store.scan(Table.TOOL_PIN, f"{channel.value}/"):
                pin = pin_from_json(row.body)
                self._pins[channel][pin.key] = pin


def put_version(version: ToolVersion) -> Put:
    """The write that makes a version durable."""
    return Put(Table.TOOL_VERSION, version.digest, canonical(version_to_json(version)))


def put_pin(channel: Channel, pin: Pin) -> Put:
    """The write of a pin."""
    return Put(Table.TOOL_PIN, f"{channel.value}/{pin.key}", pin_to_json(pin))
