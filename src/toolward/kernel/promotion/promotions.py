"""Promotions that wait for people: a version is proposed for a channel, and others agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from toolward.errors import Contested, Rejected, ToolwardError
from toolward.errors import ReasonCode as Code
from toolward.kernel.audit import Auditor
from toolward.model.event import EventKind
from toolward.model.gate import Check
from toolward.model.principal import Principal
from toolward.model.tool import Channel
from toolward.ports.clock import Clock
from toolward.ports.store import Conflict, Delete, Put, Store, Table
from toolward.rules.canonical import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A version that waits. `signed` are the users who agreed; `row` is its version in the store."""

    key: str
    channel: Channel
    digest: str
    proposer: str
    note: str
    at_ns: int
    signed: tuple[str, ...] = ()
    row: int = 0

    def as_json(self) -> dict[str, Any]:
        """As stored and shown."""
        return {
            "tool": self.key,
            "channel": self.channel.value,
            "digest": self.digest,
            "proposer": self.proposer,
            "note": self.note,
            "at_ns": str(self.at_ns),
            "signed": list(self.signed),
        }


class Promotions:
    """What waits. One version of a tool can wait for one channel at a time."""

    def __init__(self, store: Store, auditor: Auditor, *, clock: Clock) -> None:
        self._store = store
        self._auditor = auditor
        self._clock = clock

    def find(self, key: str, channel: Channel) -> Proposal | None:
        """What waits for that channel."""
        row = self._store.get(Table.PROMOTION, _place(key, channel))
        return _from_json(row.body, row.version) if row is not None else None

    def every(self) -> Iterator[Proposal]:
        """All that waits."""
        for row in self._store.scan(Table.PROMOTION):
            yield _from_json(row.body, row.version)

    async def propose(
        self, key: str, channel: Channel, digest: str, *, by: Principal, note: str, checks: Sequence[Check]
    ) -> Proposal:
        """Let a version wait for people. Raises `Contested` when another was proposed at the same time."""
        proposal = Proposal(
            key=key, channel=channel, digest=digest, proposer=by.user, note=note, at_ns=self._clock.now_ns()
        )
        await self._write(proposal, EventKind.PROMOTION_PROPOSED, by, checks, expect=0)
        return replace(proposal, row=1)

    async def sign(self, proposal: Proposal, *, by: Principal, checks: Sequence[Check]) -> Proposal:
        """One more person agrees. Raises `Contested` when it was signed or ended at the same time."""
        signed = replace(proposal, signed=(*proposal.signed, by.user))
        await self._write(signed, EventKind.PROMOTION_SIGNED, by, checks, expect=proposal.row)
        return replace(signed, row=proposal.row + 1)

    async def withdraw(self, key: str, channel: Channel, *, by: Principal, note: str) -> Proposal:
        """Take a proposal back, or refuse it. Raises `Rejected` where none waits."""
        proposal = self.find(key, channel)
        if proposal is None:
            raise Rejected(f"nothing of {key} waits for {channel}", code=Code.NOT_PENDING)
        body = {**_said(proposal, by), "note": note}
        event = self._auditor.event(EventKind.PROMOTION_ENDED, tool=key, body=body)
        await self._store.commit([event], [self.done(proposal)])
        return proposal

    async def refused(
        self,
        key: str,
        channel: Channel,
        digest: str,
        why: ToolwardError,
        *,
        by: Principal,
        checks: Sequence[Check] = (),
    ) -> None:
        """Write down that somebody was told no."""
        body = {
            "by": by.as_json(),
            "channel": channel.value,
            "digest": digest,
            "reason": why.reason.code.value,
            "text": why.reason.text,
            "checks": [check.as_json() for check in checks],
        }
        await self._store.commit([self._auditor.event(EventKind.PROMOTION_REFUSED, tool=key, body=body)])

    @staticmethod
    def done(proposal: Proposal) -> Delete:
        """The write that ends it, to be part of the commit that moves the pin."""
        return Delete(Table.PROMOTION, _place(proposal.key, proposal.channel))

    async def _write(
        self, proposal: Proposal, kind: EventKind, by: Principal, checks: Sequence[Check], *, expect: int
    ) -> None:
        body = {**_said(proposal, by), "checks": [check.as_json() for check in checks]}
        event = self._auditor.event(kind, tool=proposal.key, body=body)
        put = Put(
            Table.PROMOTION,
            _place(proposal.key, proposal.channel),
            canonical(proposal.as_json()),
            expect=expect,
        )
        try:
            await self._store.commit([event], [put])
        except Conflict as conflict:
            raise Contested(
                f"another promotion of {proposal.key} to {proposal.channel} got there first",
                remedy="look at it (`toolward tools promotions`) and decide again",
            ) from conflict


def _said(proposal: Proposal, by: Principal) -> dict[str, Any]:
    return {
        "by": by.as_json(),
        "channel": proposal.channel.value,
        "digest": proposal.digest,
        "proposer": proposal.proposer,
        "signed": list(proposal.signed),
        "note": proposal.note,
    }


def _place(key: str, channel: Channel) -> str:
    return f"{channel.value}/{key}"


def _from_json(body: bytes, row: int) -> Proposal:
    value: Mapping[str, Any] = orjson.loads(body)
    return Proposal(
        key=value["tool"],
        channel=Channel(value["channel"]),
        digest=value["digest"],
        proposer=value["proposer"],
        note=value["note"],
        at_ns=int(value["at_ns"]),
        signed=tuple(value["signed"]),
        row=row,
    )
