"""What a cage asks for is on record, and a log that takes no records lets nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import AuditUnavailable, Overloaded
from toolward.kernel.audit import Auditor
from toolward.kernel.cages.egress_watch import REFUSALS_KEPT, EgressWatch
from toolward.kernel.tasks import Background
from toolward.model.egress import EgressCode, RefusedDestination, Whose
from toolward.model.event import Event, Receipt
from toolward.ports.egress import EgressEvent
from toolward.ports.store import Change

ASKED = EgressEvent(
    whose=Whose("git", "s-1", "c-1"), host="a.example", port=443, allowed=True, code=EgressCode.OK
)


class Broken(MemoryStore):
    def healthy(self) -> str:
        return "the disk is full"

    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        raise AuditUnavailable(self.healthy())


class Busy(MemoryStore):
    """Every second commit finds the queue full."""

    turns = 0

    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        self.turns += 1
        if self.turns % 2:
            raise Overloaded("too many records wait for the audit log")
        return await super().commit(events, changes)


def watch_of(kind: type[MemoryStore]) -> tuple[EgressWatch, MemoryStore, Background]:
    clock, ids, background = VirtualClock(), CountingIds(), Background(lambda error: None)
    store = kind(origin="test", clock=clock, ids=ids)
    return (
        EgressWatch(store, Auditor(store, clock=clock, ids=ids), background=background, clock=clock),
        store,
        background,
    )


async def test_a_connection_is_on_record_under_its_server_session_and_call() -> None:
    watch, store, _ = watch_of(MemoryStore)
    await watch.judged(ASKED)
    (record,) = [orjson.loads(each.body) for each in store.records()]
    assert (record["kind"], record["server"]) == ("egress.judged", "git")
    assert (record["session_id"], record["call_id"]) == ("s-1", "c-1")
    assert (record["host"], record["port"], record["verdict"]) == ("a.example", 443, "allowed")


async def test_a_log_that_is_out_of_order_refuses_the_connection() -> None:
    watch, store, _ = watch_of(Broken)
    with pytest.raises(AuditUnavailable):
        await watch.judged(ASKED)
    with pytest.raises(AuditUnavailable):
        watch.ended(ASKED)
    assert store.size() == 0


async def test_a_log_whose_queue_is_full_is_waited_for() -> None:
    watch, store, background = watch_of(Busy)
    await watch.judged(ASKED)
    assert store.size() == 1
    watch.ended(ASKED)
    await background.drain()
    assert [orjson.loads(each.body)["kind"] for each in store.records()] == ["egress.judged", "egress.ended"]


async def test_refusals_are_told_of_to_the_cage_that_met_them_and_to_no_other() -> None:
    watch, _, _ = watch_of(MemoryStore)
    refused = replace(ASKED, allowed=False, code=EgressCode.NOT_GRANTED)
    await watch.judged(ASKED)
    await watch.judged(refused)
    assert watch.refusals(ASKED.whose, since_ns=0) == [
        RefusedDestination("a.example:443", EgressCode.NOT_GRANTED)
    ]
    assert watch.refusals(Whose("git", "s-1", "c-2"), since_ns=0) == []
    assert watch.refusals(Whose("git", "s-2"), since_ns=0) == []
    assert watch.refusals(ASKED.whose, since_ns=1 << 62) == []


async def test_what_a_process_of_all_sessions_was_refused_is_not_named() -> None:
    watch, _, _ = watch_of(MemoryStore)
    shared = Whose("git")
    await watch.judged(replace(ASKED, whose=shared, allowed=False, code=EgressCode.NOT_GRANTED))
    assert watch.refusals(shared, since_ns=0) == [RefusedDestination("", EgressCode.NOT_GRANTED)]


async def test_only_so_many_refusals_are_remembered() -> None:
    watch, store, _ = watch_of(MemoryStore)
    for _ in range(REFUSALS_KEPT + 9):
        await watch.judged(replace(ASKED, allowed=False, code=EgressCode.NOT_GRANTED))
    assert len(watch.refusals(ASKED.whose, since_ns=0)) == REFUSALS_KEPT
    assert store.size() == REFUSALS_KEPT + 9
