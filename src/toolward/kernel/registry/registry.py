"""The registry: immutable tool versions, and which of them each channel serves.

The store is the truth and this is its exact copy in memory: every change is committed first, with its
audit record, and then applied here. Pins outlive restarts; a drifted definition is never served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from toolward.errors import CallerError, Rejected, WardError
from toolward.errors import ReasonCode as Code
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.kernel.registry.findings import Findings, in_words
from toolward.kernel.registry.pins import pin_from_json, pin_to_json
from toolward.model.event import Event, EventKind
from toolward.model.incident import IncidentKind
from toolward.model.principal import Principal
from toolward.model.tool import Channel, Manifest, ToolState, ToolVersion
from toolward.ports.clock import Clock
from toolward.ports.store import Change as Write
from toolward.ports.store import Delete, Put, Store, Table
from toolward.ports.upstream import ServerDescription
from toolward.rules.canonical import canonical
from toolward.rules.lifecycle import NEXT_STATE, Change, Pin, compare
from toolward.rules.schema import ArgumentSchema, compile_schema
from toolward.rules.version import drifted_aspects, make_version, version_from_json, version_to_json

ManifestOf = Callable[[str, Mapping[str, Any]], Manifest]
"""The manifest for (server, definition): the ward's file, the catalogue, the hints, or the worst case."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one comparison of a server's definitions found."""

    tool: str
    change: Change
    state: ToolState
    aspects: tuple[str, ...]


class Registry:
    """Versions and pins of one channel."""

    def __init__(
        self, store: Store, auditor: Auditor, incidents: Incidents, *, clock: Clock, channel: Channel
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._incidents = incidents
        self._clock = clock
        self._channel = channel
        self._versions: dict[str, ToolVersion] = {}
        self._pins: dict[str, Pin] = {}
        self._schemas: dict[str, ArgumentSchema] = {}
        # one change at a time, from reading a pin to its commit: else a comparison that began before a person
        # revoked a tool would write its old state back
        self._changing = asyncio.Lock()
        self.findings = Findings(self)
        self._load()

    # --- reading ----------------------------------------------------------------------------------

    def pins(self) -> Iterator[Pin]:
        """All pins in order of server and name."""
        for key in sorted(self._pins):
            yield self._pins[key]

    def pin(self, key: str) -> Pin | None:
        """The pin of `server/name`."""
        return self._pins.get(key)

    def version(self, digest: str) -> ToolVersion | None:
        """A version by its digest."""
        return self._versions.get(digest)

    def served(self, key: str) -> tuple[Pin, ToolVersion] | None:
        """What this channel serves for `server/name`: approved or quarantined, never a candidate."""
        pin = self._pins.get(key)
        if pin is None or pin.state not in (ToolState.APPROVED, ToolState.QUARANTINED):
            return None
        return pin, self._versions[pin.digest]

    def for_undo(self, key: str, digest: str) -> ToolVersion | None:
        """The version that may still undo: what was pinned then, as long as its server is the same.

        Quarantine and revocation do not stand in the way, a definition or binding that differs does: what
        would run then is not what was looked at when its undo was promised.
        """
        pin, wanted = self._pins.get(key), self._versions.get(digest)
        if pin is None or wanted is None or wanted.key != key:
            return None
        pinned, seen = self._versions[pin.digest], self._versions.get(pin.candidate or pin.digest)
        same = seen is not None and all(
            (each.definition, each.binding) == (wanted.definition, wanted.binding) for each in (pinned, seen)
        )
        return pinned if same and pinned.digest in self._schemas else None

    def versions(self) -> list[ToolVersion]:
        """The versions that are pinned in any state, for the policy compiler."""
        return [self._versions[pin.digest] for pin in self.pins()]

    def schema(self, version: ToolVersion) -> ArgumentSchema:
        """The compiled input schema of a version."""
        return self._schemas[version.digest]

    def diff(self, key: str) -> tuple[ToolVersion, ToolVersion | None]:
        """The pinned version and the candidate that differs. Raises `Rejected` if unknown."""
        pin = self._known(key)
        return self._versions[pin.digest], self._versions.get(pin.candidate)

    # --- comparing --------------------------------------------------------------------------------

    async def observe(
        self, description: ServerDescription, *, binding: str, manifest_of: ManifestOf
    ) -> list[Finding]:
        """Compare what a server lists now with the pins; quarantine what drifted, propose what is new."""
        async with self._changing:
            return await self._observe(description, binding=binding, manifest_of=manifest_of)

    async def _observe(
        self, description: ServerDescription, *, binding: str, manifest_of: ManifestOf
    ) -> list[Finding]:
        findings: list[Finding] = []
        events: list[Event] = []
        writes: list[Write] = []
        pins: list[Pin] = []
        self.findings.listed(description.server, description.tools)
        for definition in description.tools:
            await asyncio.sleep(0)  # reading a long list keeps no call waiting
            seen = self._read(description.server, definition, binding=binding, manifest_of=manifest_of)
            old = self._pins.get(seen.key)
            pinned = self._versions[old.digest] if old else None
            change = compare(old, pinned, seen)
            pin = self._next_pin(old, seen, change)
            aspects = (
                drifted_aspects(orjson.loads(pinned.definition), definition) if pinned is not None else ()
            )
            if pinned is not None and pinned.binding != seen.binding:
                aspects = (*aspects, "binding")
            findings.append(Finding(seen.key, change, pin.state, aspects))
            if pin == old:
                continue
            pins.append(pin)
            writes += [self._put_version(seen), self._put_pin(pin), *self._drop_replaced(old, pin)]
            events += self._describe_change(old, pin, aspects, seen=seen, writes=writes)
        if events:
            await self._store.commit(events, writes)
            self._apply(pins)
        return findings

    def _read(
        self, server: str, definition: Mapping[str, Any], *, binding: str, manifest_of: ManifestOf
    ) -> ToolVersion:
        version = make_version(server, definition, binding=binding, manifest=manifest_of(server, definition))
        known = self._versions.get(version.digest)
        if known is None:
            self._remember(version)
        return known or version

    def _next_pin(self, old: Pin | None, seen: ToolVersion, change: Change) -> Pin:
        now = self._clock.now_ns()
        if old is None:
            return Pin(
                server=seen.server,
                name=seen.name,
                digest=seen.digest,
                state=ToolState.PROPOSED,
                since_ns=now,
            )
        state = NEXT_STATE[old.state, change]
        if change is Change.SAME:
            return old
        if old.state is ToolState.PROPOSED:
            return replace(old, digest=seen.digest, since_ns=now)
        if state is old.state and old.candidate == seen.digest:
            return old
        return replace(old, state=state, candidate=seen.digest, since_ns=now)

    def _drop_replaced(self, old: Pin | None, pin: Pin) -> list[Write]:
        """Versions that nothing points to any more go; what they were stays in the audit.

        So a server that changes its definition with every look can not fill the registry.
        """
        if old is None:
            return []
        unpinned = {old.candidate} | ({old.digest} if old.state is ToolState.PROPOSED else set())
        gone = sorted(unpinned - {"", pin.digest, pin.candidate})
        for digest in gone:
            self._versions.pop(digest, None)
            self._schemas.pop(digest, None)
        return [Delete(Table.TOOL_VERSION, digest) for digest in gone]

    def _describe_change(
        self,
        old: Pin | None,
        pin: Pin,
        aspects: tuple[str, ...],
        *,
        seen: ToolVersion,
        writes: list[Write],
    ) -> list[Event]:
        quarantined = pin.state is ToolState.QUARANTINED and (old is None or old.state is not pin.state)
        kind = EventKind.TOOL_QUARANTINED if quarantined else EventKind.TOOL_PROPOSED
        event = self._auditor.event(
            kind,
            tool=pin.key,
            body={
                "pinned": pin.digest,
                "candidate": pin.candidate or pin.digest,
                "aspects": list(aspects),
                "channel": self._channel.value,
                "state": pin.state.value,
                **self.findings.recorded(seen),
            },
            payloads={"definition": seen.definition},
        )
        if not quarantined:
            return [event]
        incident, put = self._incidents.open(
            IncidentKind.QUARANTINE,
            pin.key,
            f"the definition of {pin.key} changed: {', '.join(aspects) or 'binding'}",
            contained=True,
        )
        writes.append(put)
        return [event, incident]

    async def quarantine(self, key: str, digest: str, why: str) -> bool:
        """Stop serving a version that did what it was declared not to do; whether it was still served."""
        async with self._changing:
            pin = self._pins.get(key)
            if pin is None or pin.digest != digest or pin.state is not ToolState.APPROVED:
                return False
            new = replace(pin, state=ToolState.QUARANTINED, since_ns=self._clock.now_ns())
            event = self._auditor.event(
                EventKind.TOOL_QUARANTINED,
                tool=key,
                body={
                    "pinned": digest,
                    "candidate": digest,
                    "aspects": ["behaviour"],
                    "channel": self._channel.value,
                    "state": new.state.value,
                },
            )
            incident, put = self._incidents.open(IncidentKind.QUARANTINE, key, why, contained=True)
            await self._store.commit([event, incident], [self._put_pin(new), put])
            self._apply([new])
            return True

    # --- what people do ---------------------------------------------------------------------------

    async def approve(
        self, key: str, *, digest: str = "", by: Principal, source: str = "", accept_findings: bool = False
    ) -> Pin:
        """Pin a version for this channel, by a person. Default: the candidate, else what is pinned.

        Raises `Rejected` when `by` showed no person's credential or the digest is not one of this tool,
        `Denied` for a finding that blocks, unless that person accepts the findings.
        """
        _require_person(by)
        async with self._changing:
            return await self._approve(key, digest, by=by, source=source, accept_findings=accept_findings)

    async def _approve(
        self, key: str, digest: str, *, by: Principal, source: str, accept_findings: bool
    ) -> Pin:
        pin = self._known(key)
        chosen = digest or pin.candidate or pin.digest
        version = self._versions.get(chosen)
        if version is None or version.key != key:
            raise Rejected(f"`{chosen}` is no version of {key}", remedy="see `toolward tools show`")
        if version.digest not in self._schemas:
            raise WardError(
                f"the input schema of {key} can not be used", remedy="the server's author has to mend it"
            )
        found = in_words(self.findings.require_accepted(version, accepted=accept_findings))
        new = replace(
            pin,
            digest=chosen,
            state=ToolState.APPROVED,
            candidate="",
            approved_by=by.user,
            since_ns=self._clock.now_ns(),
        )
        await self._decide(pin, new, EventKind.TOOL_APPROVED, by=by, note=source, findings=found)
        return new

    async def revoke(self, key: str, *, by: Principal, why: str) -> Pin:
        """Stop serving a tool until a person approves a version again."""
        _require_person(by)
        async with self._changing:
            pin = self._known(key)
            new = replace(pin, state=ToolState.REVOKED, since_ns=self._clock.now_ns())
            await self._decide(pin, new, EventKind.TOOL_REVOKED, by=by, note=why)
            return new

    async def restore(self, pins: Mapping[str, tuple[str, str]], *, by: Principal) -> list[str]:
        """Put every pin back to (digest, state) as a revision had it; tools it did not know are revoked.

        Raises `Rejected`, with nothing changed, when a version is no longer in the registry.
        """
        _require_person(by)
        async with self._changing:
            changes: list[tuple[Pin, Pin]] = []
            for pin in self.pins():
                digest, state = pins.get(pin.key, (pin.digest, ToolState.REVOKED.value))
                version = self._versions.get(digest)
                if version is None or version.key != pin.key:
                    raise Rejected(f"the version `{digest}` of {pin.key} is not in this registry")
                if (pin.digest, pin.state.value) != (digest, state):
                    new = replace(pin, digest=digest, state=ToolState(state), since_ns=self._clock.now_ns())
                    changes.append((pin, new))
            for pin, new in changes:
                await self._decide(pin, new, EventKind.TOOL_RESTORED, by=by, note="revision")
            return [new.key for _, new in changes]

    async def _decide(
        self, old: Pin, new: Pin, kind: EventKind, *, by: Principal, note: str, findings: Sequence[str] = ()
    ) -> None:
        event = self._auditor.event(
            kind,
            tool=new.key,
            body={
                "by": by.as_json(),
                "from": {"digest": old.digest, "state": old.state.value},
                "to": {"digest": new.digest, "state": new.state.value},
                "channel": self._channel.value,
                "note": note,
                **({"findings": list(findings)} if findings else {}),
            },
        )
        events: list[Event] = [event]
        writes: list[Write] = [self._put_pin(new)]
        if old.state is ToolState.QUARANTINED:
            for closed, put in self._incidents.restore(IncidentKind.QUARANTINE, new.key):
                events.append(closed)
                writes.append(put)
        await self._store.commit(events, writes)
        self._apply([new])

    # --- storage ----------------------------------------------------------------------------------

    def _known(self, key: str) -> Pin:
        pin = self._pins.get(key)
        if pin is None:
            raise Rejected(f"no tool `{key}`", code=Code.UNKNOWN_TOOL, remedy="see `toolward tools list`")
        return pin

    def _apply(self, pins: list[Pin]) -> None:
        for pin in pins:
            self._pins[pin.key] = pin
        self.findings.changed()

    def _remember(self, version: ToolVersion) -> None:
        self._versions[version.digest] = version
        schema = orjson.loads(version.definition).get("inputSchema", {})
        try:
            self._schemas[version.digest] = compile_schema(schema, where=version.key)
        except (WardError, CallerError):
            # Kept as a version so that people can look at it; without a schema it can not be approved.
            self._schemas.pop(version.digest, None)

    def _load(self) -> None:
        for row in self._store.scan(Table.TOOL_VERSION):
            version = version_from_json(orjson.loads(row.body))
            if version.digest != row.key:
                raise WardError(
                    f"the stored version `{row.key}` does not have the content of its digest",
                    remedy="the state was tampered with: run `toolward audit verify` and restore a backup",
                )
            self._remember(version)
        prefix = f"{self._channel.value}/"
        for row in self._store.scan(Table.TOOL_PIN, prefix):
            pin = pin_from_json(row.body)
            self._pins[pin.key] = pin

    @staticmethod
    def _put_version(version: ToolVersion) -> Put:
        return Put(Table.TOOL_VERSION, version.digest, canonical(version_to_json(version)))

    def _put_pin(self, pin: Pin) -> Put:
        return Put(Table.TOOL_PIN, f"{self._channel.value}/{pin.key}", pin_to_json(pin))


def _require_person(by: Principal) -> None:
    if not by.is_person:
        raise Rejected(
            "only a person's own credential may do that",
            code=Code.UNAUTHENTICATED,
            remedy="use the command line as yourself, not an agent's key",
        )
