"""The registry: immutable tool versions, which of them each channel serves, and how people change that.

Pins outlive restarts; a drifted definition is never served. Every move of a pin is a row of
`rules/lifecycle.py`: there is no other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from toolward.errors import Contested, Rejected
from toolward.errors import ReasonCode as Code
from toolward.kernel.persons import require_person
from toolward.kernel.registry.findings import in_words
from toolward.kernel.registry.shelf import Shelf
from toolward.model.event import Event, EventKind
from toolward.model.incident import IncidentKind
from toolward.model.pin import Pin, Stretch
from toolward.model.principal import Principal
from toolward.model.tool import Channel, ToolState, ToolVersion
from toolward.ports.store import Change as Write
from toolward.rules.lifecycle import Act, transition
from toolward.rules.serving import canary_ended, earlier, moved, withdrawn
from toolward.rules.version import alike

_RECORDS: Final[Mapping[Act, EventKind]] = {
    Act.APPROVE: EventKind.TOOL_APPROVED,
    Act.REVOKE: EventKind.TOOL_REVOKED,
    Act.PROMOTE: EventKind.TOOL_PROMOTED,
    Act.DEPRECATE: EventKind.TOOL_DEPRECATED,
    Act.ROLL_BACK: EventKind.TOOL_ROLLED_BACK,
    Act.RESTORE: EventKind.TOOL_RESTORED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a person wants of a pin. `digest` "" is what it serves already; `said` stands in the record."""

    act: Act
    channel: Channel
    by: Principal
    digest: str = ""
    note: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)


class Registry(Shelf):
    """Versions and pins of all channels, and what people do with them."""

    async def approve(
        self,
        key: str,
        *,
        digest: str = "",
        by: Principal,
        source: str = "",
        accept_findings: bool = False,
        channel: Channel | None = None,
    ) -> Pin:
        """Pin a version for a channel, by a person. Default: the candidate, else what is pinned.

        Raises `Rejected` when `by` showed no person's credential or the digest is not one of this tool,
        `Denied` for a class that is not admitted (`not_proved`), and for a finding that blocks, unless that
        person accepts the findings.
        """
        where = channel or self.home()
        require_person(by)
        async with self.changing:
            pin = self.known(key, where)
            chosen = self.usable(key, digest or pin.candidate or pin.digest)
            found = in_words(self.findings.require_accepted(chosen, accepted=accept_findings))
            move = Move(
                act=Act.APPROVE,
                channel=where,
                by=by,
                digest=chosen.digest,
                note=source,
                said={"findings": found} if found else {},
            )
            return await self._move(pin, move)

    async def revoke(self, key: str, *, by: Principal, why: str, channel: Channel | None = None) -> Pin:
        """Stop serving a tool, to every session, until a person approves a version again."""
        where = channel or self.home()
        async with self.changing:
            move = Move(act=Act.REVOKE, channel=where, by=by, note=why)
            return await self._move(self.known(key, where), move)

    async def deprecate(
        self, key: str, *, successor: str, by: Principal, why: str, channel: Channel | None = None
    ) -> Pin:
        """Serve a tool with a warning and the name of what takes its place (`server/name`, "" for none).

        Raises `Rejected` for a tool that is not served, or a successor that is not.
        """
        where = channel or self.home()
        async with self.changing:
            next_one = self.pin(successor, where) if successor else None
            if successor and (successor == key or next_one is None or not next_one.state.stands):
                raise Rejected(
                    f"`{successor}` is no tool that could take its place",
                    remedy="name another tool that this channel serves, as `server/name`",
                )
            said = {"successor": successor}
            move = Move(act=Act.DEPRECATE, channel=where, by=by, note=why, said=said)
            return await self._move(self.known(key, where), move)

    async def promote(self, key: str, move: Move, *, instead_of: str, writes: Sequence[Write] = ()) -> Pin:
        """Let a version into a channel; `writes` are part of the commit.

        Raises `Contested` unless the channel still serves `instead_of` ("" for nothing): two promotions were
        on their way, and what was shown was shown beside the version of then.
        """
        async with self.changing:
            pin = self.pin(key, move.channel)
            serves = pin.digest if pin is not None and pin.state.stands else ""
            if serves != instead_of:
                raise Contested(
                    f"{key} was changed in {move.channel} while this promotion was on its way",
                    remedy="look at what it serves now (`toolward tools history`) and promote again",
                )
            version = self._admitted(key, move.digest)
            if pin is None:
                pin = Pin(
                    server=version.server, name=version.name, digest=version.digest, state=ToolState.PROPOSED
                )
            return await self._move(pin, move, writes=writes)

    async def tested(self, key: str, channel: Channel, digest: str, said: Mapping[str, Any]) -> None:
        """What waits in a channel has shown what the gate asks for, and waits for people."""
        async with self.changing:
            pin = self.pin(key, channel)
            row = transition(pin.state, Act.TEST) if pin is not None else None
            if pin is None or row is None or row.after is None or pin.digest != digest:
                return
            new = replace(pin, state=row.after, since_ns=self.clock.now_ns())
            body = {"digest": digest, "channel": channel.value, **said}
            event = self.auditor.event(EventKind.TOOL_TESTED, tool=key, body=body)
            await self.commit([event], [], [(channel, new)])

    async def roll_back(self, key: str, move: Move, *, withdraw: bool = False) -> Pin:
        """Serve a version again that the channel served before; a canary that runs is over.

        Sessions keep what they have, unless `withdraw`: then those that have what is left are served the
        earlier version too. Raises `Rejected` for a version that it never served.
        """
        async with self.changing:
            pin = self.known(key, move.channel)
            if move.digest not in earlier(pin) and not (pin.canary and move.digest == pin.digest):
                raise Rejected(
                    f"{key} did not serve `{move.digest or 'any other version'}` before",
                    remedy="see its history: toolward tools show",
                )
            return await self._move(pin, move, withdraw=withdraw)

    async def begin_canary(self, key: str, move: Move, *, share: int, copies: int = 0) -> Pin:
        """Serve a share of the new sessions another version, or run copies of so many reads with it.

        Both per cent. Raises `Rejected` where that can not be.
        """
        require_person(move.by)
        async with self.changing:
            pin = self.known(key, move.channel)
            version = self._admitted(key, move.digest)
            if pin.canary is not None or not pin.state.stands or version.digest == pin.digest:
                why = (
                    "runs already"
                    if pin.canary is not None
                    else "needs another version beside what is served"
                )
                raise Rejected(
                    f"a canary of {key} in {move.channel} {why}", remedy=f"see toolward tools history {key}"
                )
            now = self.clock.now_ns()
            stretch = Stretch(
                digest=version.digest, since_ns=now, canary=move.note, share=share, copies=copies
            )
            new = replace(pin, canary=stretch)
            body = {
                "by": move.by.as_json(),
                "canary": stretch.canary,
                "candidate": version.digest,
                "control": pin.digest,
                "channel": move.channel.value,
                "share": share,
                **({"copies": copies} if copies else {}),
                **move.said,
            }
            event = self.auditor.event(EventKind.CANARY_BEGUN, tool=key, body=body)
            await self.commit([event], [], [(move.channel, new)])
            return new

    async def end_canary(
        self,
        key: str,
        channel: Channel,
        said: Mapping[str, Any],
        *,
        onset_ns: int = 0,
        withdraw: bool = False,
    ) -> None:
        """End a canary; `said` stands in the record. With `onset_ns` it is an incident that is over."""
        async with self.changing:
            pin = self.known(key, channel)
            if pin.canary is None:
                return
            now = self.clock.now_ns()
            events = [self.auditor.event(EventKind.CANARY_ENDED, tool=key, body=said)]
            writes: list[Write] = []
            if onset_ns:
                text = f"the canary of {key} in {channel} was rolled back: {said['why']}"
                incident, put = self.incidents.past(IncidentKind.REGRESSION, key, text, onset_ns=onset_ns)
                events += incident
                writes.append(put)
            new = withdrawn(pin, pin.canary.digest, now_ns=now) if withdraw else canary_ended(pin, now_ns=now)
            await self.commit(events, writes, [(channel, new)])

    async def restore(self, pins: Mapping[str, tuple[str, str]], *, by: Principal) -> list[str]:
        """Put every pin back to (digest, state) as a revision had it, by `channel/server/name`.

        Tools that it did not know are revoked. Raises `Rejected`, with nothing changed, when a version is no
        longer in the registry.
        """
        require_person(by)
        async with self.changing:
            changes: list[tuple[Channel, Pin, Pin]] = []
            for channel, pin in self.every_pin():
                digest, state = pins.get(f"{channel}/{pin.key}", (pin.digest, ToolState.REVOKED.value))
                version = self.version(digest)
                if version is None or version.key != pin.key:
                    raise Rejected(f"the version `{digest}` of {pin.key} is not in this registry")
                if (pin.digest, pin.state.value) != (digest, state):
                    changes.append((channel, pin, self._moved(pin, digest, ToolState(state))))
            for channel, pin, new in changes:
                move = Move(act=Act.RESTORE, channel=channel, by=by, note="revision")
                await self._decide(pin, new, move)
            return [new.key for _, _, new in changes]

    async def quarantine(self, key: str, digest: str, why: str) -> bool:
        """Stop serving a version that did what it was declared not to do; whether it was still served."""
        async with self.changing:
            pins: list[tuple[Channel, Pin]] = []
            events: list[Event] = []
            for channel in Channel:
                pin = self.pin(key, channel)
                new = self._held(pin, digest) if pin is not None else None
                if new is None or new == pin:
                    continue
                pins.append((channel, new))
                events.append(self._misbehaved(key, digest, channel))
            if not pins:
                return False
            incident, put = self.incidents.open(IncidentKind.QUARANTINE, key, why, contained=True)
            await self.commit([*events, incident], [put], pins)
            return True

    def _held(self, pin: Pin, digest: str) -> Pin:
        """The pin once nobody is served that version, whether it is the present one or sessions kept it."""
        now = self.clock.now_ns()
        if pin.digest != digest:
            return withdrawn(pin, digest, now_ns=now)
        row = transition(pin.state, Act.MISBEHAVE)
        return replace(pin, state=row.after, since_ns=now) if row is not None and row.after else pin

    def _misbehaved(self, key: str, digest: str, channel: Channel) -> Event:
        return self.auditor.event(
            EventKind.TOOL_QUARANTINED,
            tool=key,
            body={
                "pinned": digest,
                "candidate": digest,
                "aspects": ["behaviour"],
                "channel": channel.value,
                "state": ToolState.QUARANTINED.value,
            },
        )

    def _admitted(self, key: str, digest: str) -> ToolVersion:
        """A version that may get in by what it shows; its findings were accepted where it stands already.

        Raises `Rejected`, `WardError`, and `Denied` for its class or a finding that blocks.
        """
        version = self.usable(key, digest)
        self.check_class(version)
        stands = any(
            pin.served_once(digest) or (pin.digest == digest and pin.state.stands)
            for _, pin in self.every_pin()
            if pin.key == key
        )
        _ = self.findings.require_accepted(version, accepted=stands)
        return version

    async def _move(
        self, pin: Pin, move: Move, *, withdraw: bool = False, writes: Sequence[Write] = ()
    ) -> Pin:
        """One row of the lifecycle's table. Raises `Rejected` where there is none, or no person asks."""
        require_person(move.by)
        row = transition(pin.state, move.act)
        if row is None or row.after is None:
            raise Rejected(
                f"{pin.key} is {pin.state}, and what is {pin.state} can not be {_DONE[move.act]}",
                code=Code.NOT_APPROVED,
                remedy="see the states in docs/lifecycle.md",
            )
        digest = move.digest or pin.digest
        if row.after is ToolState.APPROVED:
            version = self.usable(pin.key, digest)
            self.check_class(version)
            digest = version.digest
        new = self._moved(pin, digest, row.after, withdraw=withdraw)
        if row.after is ToolState.APPROVED:
            offers = tuple(each for each in new.offers if each != digest)
            new = replace(new, candidate="", offers=offers, approved_by=move.by.user, successor="")
        elif row.after is ToolState.DEPRECATED:
            new = replace(new, successor=str(move.said.get("successor", "")))
        await self._decide(pin, new, move, writes)
        return new

    def _moved(self, pin: Pin, digest: str, state: ToolState, *, withdraw: bool = False) -> Pin:
        now = self.clock.now_ns()
        if pin.canary is not None:  # what it was compared with is not served any more
            if withdraw:
                pin = withdrawn(pin, pin.canary.digest, now_ns=now)
            pin = canary_ended(pin, now_ns=now)
        seen = self.version(pin.candidate or pin.digest)
        runs = seen is not None and alike(seen, self.of(pin))
        return moved(pin, digest, state, now_ns=now, runs=runs, withdraw=withdraw)

    async def _decide(self, old: Pin, new: Pin, move: Move, also: Sequence[Write] = ()) -> None:
        event = self.auditor.event(
            _RECORDS[move.act],
            tool=new.key,
            body={
                "by": move.by.as_json(),
                "from": {"digest": old.digest, "state": old.state.value},
                "to": {"digest": new.digest, "state": new.state.value},
                "channel": move.channel.value,
                "note": move.note,
                **({"canary": old.canary.canary} if old.canary and not new.canary else {}),
                **move.said,
            },
        )
        events: list[Event] = [event]
        writes: list[Write] = list(also)
        if old.state is ToolState.QUARANTINED:
            for closed, put in self.incidents.restore(IncidentKind.QUARANTINE, new.key):
                events.append(closed)
                writes.append(put)
        await self.commit(events, writes, [(move.channel, new)])


_DONE: Final[Mapping[Act, str]] = {
    Act.APPROVE: "approved",
    Act.REVOKE: "revoked",
    Act.DEPRECATE: "deprecated",
    Act.ROLL_BACK: "rolled back",
    Act.PROMOTE: "promoted",
}
