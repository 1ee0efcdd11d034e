"""A clause of each call of a found tool: what it uses up is taken before it runs, and outlives a restart."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import orjson
from typing_extensions import override

from toolward.errors import Denied, InvariantBroken
from toolward.kernel.clauses import Clause, Promise
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import RawOutcome
from toolward.model.found import Spent
from toolward.model.permit import Permit
from toolward.ports.clock import Clock
from toolward.ports.store import Change, OpenCall, Put, Store, Table
from toolward.rules.canonical import canonical
from toolward.rules.found.spending import destinations_of, lacking

KEPT_MAX: Final = 10_000
"""Sessions and days whose spending is in memory; others are read again."""
_DAY_NS: Final = 86_400 * 1_000_000_000


class OpenBudgets(Clause):
    """Per session and source, and per source and day. What is taken for a call is not given back."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._spent: OrderedDict[str, Spent] = OrderedDict()
        self._begun: dict[str, tuple[int, tuple[str, str]]] = {}  # call_id -> since when, and which rows

    @override
    def binds(self, permit: Permit) -> bool:
        return permit.labelled.facts.found

    @override
    async def promise(self, permit: Permit, revision: ActiveRevision) -> Promise:
        """Raises `Denied` (`budget_spent`)."""
        call, resolved = permit.labelled.call, permit.labelled.resolved
        binding = revision.binding(resolved.server)
        source = revision.sources.get(binding.found_by) if binding is not None else None
        if binding is None or source is None:
            raise InvariantBroken("a permit for a found tool whose source is not admitted")
        day = self._clock.now_ns() // _DAY_NS
        rows = (f"session/{call.session.session_id}/{source.name}", f"day/{day}/{source.name}")
        size, places = len(call.arguments_json), destinations_of(permit, binding)
        budgets = ((source.session, "one session"), (source.day, f"one day from `{source.name}`"))
        for key, (budget, of) in zip(rows, budgets, strict=True):
            no = lacking(self._of(key), budget, bytes_out=size, destinations=places, of=of)
            if no is not None:
                raise Denied(no.text, code=no.code, remedy=no.remedy, details=no.details)
        for key in rows:  # nothing has waited since the look, so no other call was let through by the same
            spent = self._of(key)
            spent.calls += 1
            spent.bytes_out += size
            spent.destinations |= places
        self._begun[call.call_id] = (self._clock.monotonic_ns(), rows)
        return Promise(changes=tuple(self._put(key) for key in rows), body={"source": source.name})

    @override
    def conclude(self, permit: Permit, outcome: RawOutcome) -> Sequence[Change]:
        since_ns, rows = self._begun.pop(permit.labelled.call.call_id)
        for key in rows:
            self._of(key).time_ms += (self._clock.monotonic_ns() - since_ns) // 1_000_000
        return [self._put(key) for key in rows]

    @override
    def lapsed(self, permit: Permit) -> None:
        self._begun.pop(permit.labelled.call.call_id, None)

    @override
    def abandon(self, left: OpenCall) -> Sequence[Change]:
        """What it took was written with its intent; how long it ran is not known."""
        del left
        return ()

    def _of(self, key: str) -> Spent:
        spent = self._spent.get(key)
        if spent is None:
            row = self._store.get(Table.OPEN_USE, key)
            spent = self._spent[key] = _from_json(row.body) if row else Spent()
            while len(self._spent) > KEPT_MAX:
                self._spent.popitem(last=False)
        self._spent.move_to_end(key)
        return spent

    def _put(self, key: str) -> Put:
        spent = self._of(key)
        body = {
            "calls": spent.calls,
            "bytes_out": spent.bytes_out,
            "time_ms": spent.time_ms,
            "destinations": sorted(spent.destinations),
        }
        return Put(Table.OPEN_USE, key, canonical(body))


def _from_json(body: bytes) -> Spent:
    value = orjson.loads(body)
    return Spent(
        calls=value["calls"],
        bytes_out=value["bytes_out"],
        time_ms=value["time_ms"],
        destinations=set(value["destinations"]),
    )
