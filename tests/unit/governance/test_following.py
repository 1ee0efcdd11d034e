"""Reading on in the log."""

from __future__ import annotations

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.governance.following import PAGE, Following
from toolward.model.event import Event, EventKind

KINDS = (EventKind.APPROVAL_ASKED, EventKind.APPROVAL_ENDED)


class Counted(MemoryStore):
    """Counts searches."""

    searches = 0

    def find(self, **wanted: object) -> list[object]:  # type: ignore[override]
        self.searches += 1
        return super().find(**wanted)  # type: ignore[arg-type,return-value]


def event(number: int, kind: EventKind) -> Event:
    return Event(event_id=f"e-{number}", time_ns=number, kind=kind)


def made() -> Counted:
    return Counted(clock=VirtualClock(), ids=CountingIds())


async def test_it_gives_each_record_of_its_kinds_once_and_in_order() -> None:
    store = made()
    await store.commit([event(0, EventKind.APPROVAL_ASKED)])
    following = Following(store, KINDS)
    assert following.new() == []
    await store.commit([event(1, EventKind.APPROVAL_ENDED), event(2, EventKind.LISTED)])
    await store.commit([event(3, EventKind.APPROVAL_ASKED)])
    assert [each.index for each in following.new()] == [1, 3]
    assert following.new() == []
    await store.commit([event(number, EventKind.APPROVAL_ASKED) for number in range(4, 4 + 3 * PAGE)])
    assert [each.index for each in following.new()] == list(range(4, 4 + 3 * PAGE))


async def test_it_goes_on_at_a_place_that_an_earlier_process_left() -> None:
    store = made()
    await store.commit([event(number, EventKind.APPROVAL_ASKED) for number in range(5)])
    assert [each.index for each in Following(store, KINDS, at=2).new()] == [2, 3, 4]


async def test_records_of_other_kinds_cost_no_search() -> None:
    store = made()
    following = Following(store, KINDS)
    await store.commit([event(number, EventKind.LISTED) for number in range(100)])
    assert following.new() == []
    assert store.searches == 0
    await store.commit([event(100, EventKind.APPROVAL_ENDED)])
    assert [each.index for each in following.new()] == [100]
    assert store.searches == 1
