"""Where data went: which agent and which tool sent to which place before, and how much.

Counted from the permit on, in the same turn as the decision; written in the commit of the intent. Places are
keyed digests wherever they are stored: an address is somebody's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable
from typing import Final, TypeVar

import orjson
from typing_extensions import override

from toolward.kernel.clauses import Clause, Promise
from toolward.kernel.revision import ActiveRevision
from toolward.model.permit import Permit
from toolward.ports.clock import Clock
from toolward.ports.store import Change, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.signals.arguments import Outgoing
from toolward.rules.signals.cusum import Traffic, sent, traffic_from_json

KEPT_MAX: Final = 50_000
"""Places, and pairs of agent or tool and place, in memory: some 200 bytes each; the rest is read again."""
DIGEST_CHARS: Final = 24
"""Of a keyed digest, as it stands in records and keys: 96 bits tell places apart."""

V = TypeVar("V")


class Outflow(Clause):
    """Knows what each agent sent to each place."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._digests: OrderedDict[str, str] = OrderedDict()
        self._traffic: OrderedDict[str, Traffic] = OrderedDict()
        self._tools: OrderedDict[str, bool] = OrderedDict()
        self._taken: OrderedDict[str, tuple[tuple[str, ...], tuple[str, ...]]] = OrderedDict()
        """call_id -> the digests of its places, and the rows that its intent writes."""

    def digests(self, places: Iterable[str]) -> tuple[str, ...]:
        """Keyed digests of places, sorted."""
        return tuple(sorted(map(self._digest, places)))

    def going(
        self, agent: str, tool: str, seen: Container[str], places: frozenset[str], size: int
    ) -> Outgoing:
        """What is known of places that a call of so many bytes would go to; `seen` are the session's."""
        digests = self.digests(places)
        now = self._clock.now_ns()
        traffic = [self._of(f"agent/{agent}/{each}") for each in digests]
        then = [sent(each, size, now) for each in traffic]
        return Outgoing(
            unseen_by_session=any(each not in seen for each in digests),
            unseen_by_agent=any(not each.minute for each in traffic),
            unseen_by_tool=any(not self._tool_knows(f"tool/{tool}/{each}") for each in digests),
            bytes_today=max(each.in_day for each in then),
            surge=any(each.surge for each in then),
        )

    def take(self, permit: Permit) -> tuple[str, ...]:
        """Count a call that was let through; the digests of where it goes, if it goes anywhere.

        What its intent does not come to write stays counted in this process.
        """
        if not permit.labelled.signals.places:
            return ()
        digests = self.digests(permit.labelled.signals.places)
        call, resolved = permit.labelled.call, permit.labelled.resolved
        tool = resolved.version.key if resolved.version is not None else resolved.server
        now, size = self._clock.now_ns(), len(call.arguments_json)
        rows: list[str] = []
        for each in digests:
            key = f"agent/{call.session.principal.agent}/{each}"
            _keep(self._traffic, key, value=sent(self._of(key), size, now))
            rows.append(key)
            key = f"tool/{tool}/{each}"
            if not self._tool_knows(key):
                _keep(self._tools, key, value=True)
                rows.append(key)
        _keep(self._taken, call.call_id, value=(digests, tuple(rows)))
        return digests

    @override
    def binds(self, permit: Permit) -> bool:
        return permit.labelled.call.call_id in self._taken

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        digests, rows = self._taken.pop(permit.labelled.call.call_id)
        return Promise(changes=tuple(self._put(key) for key in rows), body={"to": list(digests)})

    def _put(self, key: str) -> Change:
        body = self._of(key).as_json() if key.startswith("agent/") else {}
        return Put(Table.OUTFLOW, key, canonical(body))

    def _of(self, key: str) -> Traffic:
        traffic = self._traffic.get(key)
        if traffic is None:
            row = self._store.get(Table.OUTFLOW, key)
            traffic = traffic_from_json(orjson.loads(row.body)) if row is not None else Traffic()
            _keep(self._traffic, key, value=traffic)
        return traffic

    def _tool_knows(self, key: str) -> bool:
        known = self._tools.get(key)
        if known is None:
            known = self._store.get(Table.OUTFLOW, key) is not None
            _keep(self._tools, key, value=known)
        return known

    def _digest(self, place: str) -> str:
        known = self._digests.get(place)
        if known is None:
            whole = self._store.digest(b"place/" + place.encode("utf-8", "replace"))
            known = whole.rpartition(":")[2][:DIGEST_CHARS]
            _keep(self._digests, place, value=known)
        return known


def _keep(kept: OrderedDict[str, V], key: str, *, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > KEPT_MAX:
        kept.popitem(last=False)
