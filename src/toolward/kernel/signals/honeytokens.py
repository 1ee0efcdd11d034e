"""Planted values: kept without their values, recognised in every call, and an incident when one is found.

1. every call is looked at before it is resolved, whatever tool it names and whatever policies say
2. the incident is durable before the call is answered
3. the call is denied
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from msgspec.structs import replace

from toolward.errors import Denied, ReasonCode, Rejected
from toolward.kernel.audit import Auditor
from toolward.kernel.incidents import Incidents
from toolward.model.call import Call
from toolward.model.event import EventKind
from toolward.model.honeytoken import HoneyToken, TokenShape, token_from_json
from toolward.model.incident import IncidentKind
from toolward.model.principal import Principal
from toolward.ports.clock import Clock
from toolward.ports.ids import Ids
from toolward.ports.store import Change, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.signals.honeytokens import Watchlist, value_of

PLANTED_MAX: Final = 10_000
"""Values that can stand at one time: some thirty spellings each, in one automaton."""
TEXT_CHARS_MAX: Final = 200
"""Of a source or tenant."""
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")


class Honeytokens:
    """The planted values of a ward."""

    def __init__(
        self, store: Store, auditor: Auditor, incidents: Incidents, *, clock: Clock, ids: Ids
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._incidents = incidents
        self._clock = clock
        self._ids = ids
        self._watch: Watchlist | None = None  # made when it is first needed, and after each change
        self._raised: set[tuple[str, str]] = set()
        self.seen = 0  # calls of this process in which one was found

    async def plant(
        self,
        shape: TokenShape,
        by: Principal,
        *,
        source: str,
        tenant: str = "",
        agent: str = "",
        place: str = "",
    ) -> tuple[HoneyToken, str]:
        """A new token and its value, which the operator puts where `source` says. Raises `Rejected`."""
        if not 0 < len(source) <= TEXT_CHARS_MAX or max(len(tenant), len(agent)) > TEXT_CHARS_MAX:
            raise Rejected(f"`source` is a text of 1 to {TEXT_CHARS_MAX} characters, as are tenant and agent")
        if place and not _DOMAIN.fullmatch(place):
            raise Rejected("`place` is no domain", remedy="name one of your own, such as `corp.example`")
        if sum(not each.retired_ns for each in self.all()) >= PLANTED_MAX:
            raise Rejected(f"{PLANTED_MAX} are planted already", remedy="retire some")
        token = HoneyToken(
            token_id=self._ids.new(),
            shape=shape,
            source=source,
            tenant=tenant,
            agent=agent,
            place=place,
            planted_ns=self._clock.now_ns(),
            planted_by=by.user,
        )
        await self._store.commit([self._event(EventKind.HONEYTOKEN_PLANTED, token, by)], [_put(token)])
        self._watch = None
        return token, self.value(token)

    async def retire(self, token_id: str, by: Principal) -> HoneyToken:
        """It is looked for no longer, and its incidents are restored. Raises `Rejected`."""
        row = self._store.get(Table.HONEYTOKEN, token_id)
        token = token_from_json(orjson.loads(row.body)) if row is not None else None
        if token is None or token.retired_ns:
            raise Rejected("no such honeytoken is planted", remedy="see `toolward honeytokens list`")
        token = replace(token, retired_ns=self._clock.now_ns())
        events, changes = [self._event(EventKind.HONEYTOKEN_RETIRED, token, by)], [_put(token)]
        for event, change in self._incidents.restore(IncidentKind.HONEYTOKEN, _subject(token)):
            events.append(event)
            changes.append(change)
        await self._store.commit(events, changes)
        self._watch = None
        return token

    def all(self) -> list[HoneyToken]:
        """Every token, oldest first, those that were retired too."""
        return [token_from_json(orjson.loads(row.body)) for row in self._store.scan(Table.HONEYTOKEN)]

    def value(self, token: HoneyToken) -> str:
        """What was planted, derived again."""
        return value_of(token, self._seed(token))

    async def check(self, call: Call) -> None:
        """Raises `Denied` for a call that holds a planted value, once its incident is durable."""
        watch = self._watch
        if watch is None:
            standing = [each for each in self.all() if not each.retired_ns]
            watch = self._watch = Watchlist((each, self._seed(each)) for each in standing)
        if not watch:
            return
        encoded = call.arguments_json + (canonical(call.retry) if call.retry else b"")
        found = watch.find((call.arguments, call.retry), encoded)
        if not found:
            return
        self.seen += 1
        new = [each for each in found if (each.token_id, call.session.session_id) not in self._raised]
        if new:
            opened = [self._opened(each, call) for each in new]
            await self._store.commit([event for event, _ in opened], [change for _, change in opened])
            self._raised.update((each.token_id, call.session.session_id) for each in new)
        raise Denied(
            "the call holds a value that was planted where nobody has a reason to use it",
            code=ReasonCode.HONEYTOKEN,
            remedy="leave that value out; people were told",
        )

    def _opened(self, token: HoneyToken, call: Call) -> tuple[Any, Put]:
        principal = call.session.principal
        of = f"{token.source} (tenant {token.tenant})" if token.tenant else token.source
        return self._incidents.open(
            IncidentKind.HONEYTOKEN,
            _subject(token),
            f"a planted {token.shape.value} of {of} was in call {call.call_id} of `{call.target[:100]}`, "
            f"session {call.session.session_id}, agent {principal.agent}, user {principal.user}",
            contained=True,
        )

    def _seed(self, token: HoneyToken) -> bytes:
        return self._store.digest(b"honeytoken/" + token.token_id.encode()).encode()

    def _event(self, kind: EventKind, token: HoneyToken, by: Principal) -> Any:
        return self._auditor.event(kind, body={"honeytoken": token.as_json(), "by": by.as_json()})


def _subject(token: HoneyToken) -> str:
    return f"honeytoken {token.token_id}"


def _put(token: HoneyToken) -> Change:
    return Put(Table.HONEYTOKEN, token.token_id, canonical(token.as_json()))
