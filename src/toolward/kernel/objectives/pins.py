"""What people approved: for each channel and objective one pin, with all that it was composed of then.

The store is the truth and this is its exact copy in memory, as with the registry's pins. A promotion copies a
pin from one channel to the next; nothing is composed anew, so what enters is what was looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.kernel.audit import Auditor
from toolward.kernel.persons import require_person
from toolward.model.event import Event, EventKind
from toolward.model.objective import Objective
from toolward.model.principal import Principal
from toolward.model.tool import Channel
from toolward.ports.clock import Clock
from toolward.ports.store import Change as Write
from toolward.ports.store import Delete, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.objective import Composition, ObjectivePin, pin_from_json

NEXT_CHANNEL: Mapping[Channel, Channel] = {
    Channel.SANDBOX: Channel.STAGING,
    Channel.STAGING: Channel.PRODUCTION,
}
EVIDENCE_NAMED_MAX = 16
"""Sessions that are named in a promotion; the others are counted."""
ENDS_LOOKED_AT_MAX = 10_000
"""Ends of sessions that are looked through for evidence, the newest first."""


class ObjectivePins:
    """The pins of all channels."""

    def __init__(self, store: Store, auditor: Auditor, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock
        self._changing = asyncio.Lock()  # one change at a time, from reading a pin to its commit
        self._pins: dict[tuple[Channel, str], ObjectivePin] = {}
        for row in store.scan(Table.OBJECTIVE_PIN):
            channel, _, name = row.key.partition("/")
            self._pins[Channel(channel), name] = pin_from_json(orjson.loads(row.body))

    def pin(self, channel: Channel, name: str) -> ObjectivePin | None:
        """What is approved there."""
        return self._pins.get((channel, name))

    def of(self, channel: Channel) -> Iterator[ObjectivePin]:
        """All that is approved for a channel, by name."""
        for where, name in sorted(self._pins):
            if where is channel:
                yield self._pins[where, name]

    async def approve(
        self, objective: Objective, composition: Composition, channel: Channel, *, by: Principal, note: str
    ) -> ObjectivePin:
        """Pin what an objective is composed of now. Raises `Denied` for its own owner, and for no person."""
        require_person(by)
        name = objective.name
        if by.user == objective.owner:
            raise Denied(
                f"{by.user} owns the objective `{name}`, and an owner does not approve what is theirs",
                code=ReasonCode.PROMOTION_REFUSED,
                remedy="have another person approve it",
            )
        async with self._changing:
            pin = ObjectivePin(
                name=name, composition=composition, approved_by=by.user, since_ns=self._clock.now_ns()
            )
            await self._put(self._approved(pin, channel, by=by, note=note), channel, pin)
            return pin

    def _approved(self, pin: ObjectivePin, channel: Channel, *, by: Principal, note: str) -> Event:
        before = self.pin(channel, pin.name)
        body = {
            "by": by.as_json(),
            "objective": pin.name,
            "channel": channel.value,
            "from": before.composition.digest if before else "",
            "to": pin.composition.digest,
            "note": note,
        }
        return self._auditor.event(EventKind.OBJECTIVE_APPROVED, body=body)

    async def promote(self, name: str, to: Channel, *, by: Principal, note: str) -> ObjectivePin:
        """Copy the pin of the channel before. Raises `Denied` without evidence or a second person."""
        require_person(by)
        before = next((channel for channel, after in NEXT_CHANNEL.items() if after is to), None)
        if before is None:
            raise Rejected(f"nothing is promoted to `{to}`", remedy="name `staging` or `production`")
        async with self._changing:
            source = self.pin(before, name)
            if source is None:
                raise _refused(
                    f"the objective `{name}` is not approved for `{before}`",
                    "have it approved there first",
                )
            if source.approved_by == by.user:
                raise _refused(
                    f"{by.user} approved the objective `{name}` for `{before}`; a second person promotes it",
                    "have another person promote it",
                )
            reached = [
                body["session_id"]
                for body in self.ends(name, source.composition.digest)
                if body["how"] == "reached" and body["channel"] == before.value
            ]
            if not reached:
                raise _refused(
                    f"no session has reached the objective `{name}` in `{before}` as it was approved there",
                    "run it there first: no evidence means hold",
                )
            pin = ObjectivePin(
                name=name,
                composition=source.composition,
                approved_by=by.user,
                since_ns=self._clock.now_ns(),
                evidence=tuple(reached[:EVIDENCE_NAMED_MAX]),
            )
            body = {
                "by": by.as_json(),
                "objective": name,
                "channel": to.value,
                "from_channel": before.value,
                "to": source.composition.digest,
                "reached": len(reached),
                "evidence": list(pin.evidence),
                "note": note,
            }
            await self._put(self._auditor.event(EventKind.OBJECTIVE_PROMOTED, body=body), to, pin)
            return pin

    async def restore(self, channel: Channel, pins: Iterable[ObjectivePin], *, by: Principal) -> None:
        """Put the channel's pins back as a revision had them; whoever may do that was asked before."""
        async with self._changing:
            wanted = {pin.name: pin for pin in pins}
            gone = [pin.name for pin in self.of(channel) if pin.name not in wanted]
            changed = [pin for pin in wanted.values() if pin != self.pin(channel, pin.name)]
            events = [self._approved(pin, channel, by=by, note="revision") for pin in changed]
            writes: list[Write] = [_row(channel, pin) for pin in changed]
            writes += [Delete(Table.OBJECTIVE_PIN, f"{channel.value}/{name}") for name in gone]
            await self._store.commit(events, writes)
            for name in gone:
                del self._pins[channel, name]
            self._pins |= {(channel, name): pin for name, pin in wanted.items()}

    def ends(self, name: str, digest: str = "") -> Iterable[dict[str, Any]]:
        """How sessions for an objective ended, newest first; with a digest, of that composition only."""
        for record in self._store.find(kind=EventKind.OBJECTIVE_ENDED.value, limit=ENDS_LOOKED_AT_MAX):
            body: dict[str, Any] = orjson.loads(record.body)
            if body["objective"] == name and (not digest or body["composition"] == digest):
                yield body

    async def _put(self, event: Event, channel: Channel, pin: ObjectivePin) -> None:
        await self._store.commit([event], [_row(channel, pin)])
        self._pins[channel, pin.name] = pin


def _row(channel: Channel, pin: ObjectivePin) -> Put:
    return Put(Table.OBJECTIVE_PIN, f"{channel.value}/{pin.name}", canonical(pin.as_json()))


def _refused(text: str, remedy: str) -> Denied:
    return Denied(text, code=ReasonCode.PROMOTION_REFUSED, remedy=remedy)
