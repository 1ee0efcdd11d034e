"""One contract, every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.stores.sqlite import SqliteStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.config import limits
from toolward.errors import AuditStopped, AuditUnavailable, InvariantBroken, Overloaded
from toolward.governance.verify import verify_receipt, verify_store
from toolward.model.event import Event, EventKind
from toolward.ports.store import Conflict, Delete, OpenCall, Put, Row, Store, Table
from toolward.rules.checkpoint import open_checkpoint, parse_verifier_key


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    clock, ids = VirtualClock(), CountingIds(10**6)
    made: Store
    if request.param == "memory":
        made = MemoryStore(clock=clock, ids=ids)
    else:
        made = SqliteStore.open(tmp_path / "state", origin="ward", clock=clock, ids=ids)
    yield made
    await made.close()


def event(number: int, *, kind: EventKind = EventKind.CALL_INTENT, **more: object) -> Event:
    fields: dict[str, object] = {"call_id": f"call-{number}", "session_id": "s-1", "tool": "git/log", **more}
    return Event(event_id=f"e-{number}", time_ns=1_790_000_000_000_000_000 + number, kind=kind, **fields)  # type: ignore[arg-type]


async def test_every_record_gets_a_receipt_that_anyone_can_verify(store: Store) -> None:
    events = [event(number, body={"number": number}) for number in range(7)]
    receipts = [*await store.commit(events[:3]), *await store.commit(events[3:])]
    bodies = [record.body for record in store.records()]
    assert [receipt.index for receipt in receipts] == list(range(7))
    for receipt, body in zip(receipts, bodies, strict=True):
        assert verify_receipt(receipt, body, store.verifier_key()).ok
    assert not verify_receipt(receipts[0], bodies[1], store.verifier_key()).ok
    assert [orjson.loads(body)["number"] for body in bodies] == list(range(7))


async def test_the_newest_checkpoint_signs_all_records(store: Store) -> None:
    key = parse_verifier_key(store.verifier_key())
    assert open_checkpoint(store.checkpoint(), key).size == store.size() == 0
    await store.commit([event(1), event(2)])
    assert open_checkpoint(store.checkpoint(), key).size == store.size() == 2
    assert [size for size, _ in store.checkpoints()] == [2]
    assert list(store.checkpoints(2)) == []
    assert verify_store(store, store.verifier_key()).ok


async def test_events_and_changes_are_one_commit(store: Store) -> None:
    await store.commit([event(1)], [Put(Table.SESSION, "s-1", b"{}", expect=0)])
    with pytest.raises(Conflict):
        await store.commit(
            [event(2)], [Put(Table.INCIDENT, "x", b"1"), Put(Table.SESSION, "s-1", b"[]", expect=0)]
        )
    assert store.size() == 1
    assert store.get(Table.INCIDENT, "x") is None
    row = store.get(Table.SESSION, "s-1")
    assert row == Row("s-1", b"{}", 1)


async def test_versions_start_at_one_grow_by_one_and_start_anew_after_deletion(store: Store) -> None:
    versions = []
    for change in (
        Put(Table.INCIDENT, "x", b"1", expect=0),
        Put(Table.INCIDENT, "x", b"2", expect=1),
        Put(Table.INCIDENT, "x", b"3"),
        Delete(Table.INCIDENT, "x"),
        Delete(Table.INCIDENT, "x"),
        Put(Table.INCIDENT, "x", b"4", expect=0),
    ):
        await store.commit([], [change])
        row = store.get(Table.INCIDENT, "x")
        versions.append(row.version if row else 0)
    assert versions == [1, 2, 3, 0, 0, 1]
    assert store.size() == 0


async def test_changes_within_one_commit_see_each_other(store: Store) -> None:
    await store.commit(
        [],
        [
            Put(Table.INCIDENT, "x", b"1", expect=0),
            Put(Table.INCIDENT, "x", b"2", expect=1),
            Delete(Table.INCIDENT, "x"),
            Put(Table.INCIDENT, "x", b"3", expect=0),
        ],
    )
    row = store.get(Table.INCIDENT, "x")
    assert row == Row("x", b"3", 1)


async def test_of_many_that_swap_the_same_row_at_once_one_wins_and_nobody_else_is_hurt(store: Store) -> None:
    await store.commit([], [Put(Table.INCIDENT, "x", b"0", expect=0)])

    async def swap(number: int) -> str:
        try:
            await store.commit([event(number)], [Put(Table.INCIDENT, "x", b"%d" % number, expect=1)])
        except Conflict:
            return "lost"
        return "won"

    async def bystander(number: int) -> str:
        (receipt,) = await store.commit([event(number)], [Put(Table.SESSION, f"s-{number}", b"{}", expect=0)])
        body = next(iter(store.records(receipt.index, receipt.index + 1))).body
        return "wrote" if verify_receipt(receipt, body, store.verifier_key()).ok else "broken"

    results = await asyncio.gather(
        *(swap(number) if number % 2 else bystander(number) for number in range(40))
    )
    assert sorted(results) == ["lost"] * 19 + ["won"] + ["wrote"] * 20
    assert store.size() == 21
    assert verify_store(store, store.verifier_key()).ok


async def test_a_call_is_open_from_its_intent_to_its_outcome(store: Store) -> None:
    await store.commit([event(1), event(2, tool="time/now"), event(3, kind=EventKind.CALL_MERGED)])
    assert store.open_calls() == (
        OpenCall("call-1", "s-1", "git/log"),
        OpenCall("call-2", "s-1", "time/now"),
    )
    await store.commit([event(4, kind=EventKind.CALL_OUTCOME, call_id="call-1")])
    await store.commit([event(5, kind=EventKind.LISTED, call_id="call-2"), event(6)])
    assert [each.call_id for each in store.open_calls()] == ["call-6"]
    await store.commit([event(7), event(8, kind=EventKind.CALL_OUTCOME, call_id="call-7")])
    assert [each.call_id for each in store.open_calls()] == ["call-6"]


async def test_it_tells_when_a_kind_was_written_last(store: Store) -> None:
    assert store.last_written(EventKind.CALL_INTENT) == -1
    await store.commit([event(1), event(2, kind=EventKind.LISTED), event(3, kind=EventKind.LISTED)])
    await store.commit([event(4)])
    assert store.last_written(EventKind.CALL_INTENT) == 3
    assert store.last_written("listed") == 2
    assert store.last_written(EventKind.CALL_OUTCOME) == -1


async def test_an_intent_that_met_a_conflict_opens_nothing(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.commit([event(1)], [Put(Table.INCIDENT, "x", b"1", expect=5)])
    assert store.open_calls() == ()


async def test_what_was_handed_over_first_is_written_first_however_large(store: Store) -> None:
    waiting: list[asyncio.Task[object]] = []
    for number in range(30):
        large = {"a": b"x" * 300_000} if number % 3 == 0 else {}
        row = Put(Table.INCIDENT, "x", b"%d" % number)
        waiting.append(asyncio.create_task(store.commit([event(number, payloads=large)], [row])))
        for _ in range(number % 12):  # some join a group, some find the writer at work or idle
            await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    written = [orjson.loads(record.body)["event_id"] for record in store.records()]
    assert written == [f"e-{number}" for number in range(30)]
    row_now = store.get(Table.INCIDENT, "x")
    assert row_now is not None
    assert row_now.body == b"29"


async def test_rows_are_scanned_by_prefix_in_key_order(store: Store) -> None:
    keys = ["b/2", "a", "b/1", "b", "c", "b/\u00e4", "b0"] + [f"b/many/{number:04d}" for number in range(600)]
    await store.commit([], [Put(Table.TOOL_PIN, key, key.encode()) for key in keys])
    await store.commit([], [Put(Table.TOOL_VERSION, "b/3", b"")])
    expected = sorted((key for key in keys if key.startswith("b/")), key=str.encode)
    assert [row.key for row in store.scan(Table.TOOL_PIN, "b/")] == expected
    assert len(list(store.scan(Table.TOOL_PIN))) == len(keys)
    assert list(store.scan(Table.INCIDENT)) == []


async def test_the_newest_rows_come_first_and_page_by_page(store: Store) -> None:
    keys = [f"{number:04d}" for number in range(7)]
    await store.commit([], [Put(Table.APPROVAL, key, key.encode()) for key in keys])
    await store.commit([], [Put(Table.QUESTION, "9999", b"")])
    assert [row.key for row in store.newest(Table.APPROVAL)] == keys[::-1]
    page = store.newest(Table.APPROVAL, limit=3)
    assert [(row.key, row.body, row.version) for row in page[:1]] == [("0006", b"0006", 1)]
    assert [row.key for row in store.newest(Table.APPROVAL, before=page[-1].key, limit=3)] == keys[3:0:-1]
    assert store.newest(Table.APPROVAL, before="0000") == []


async def test_records_are_found_by_each_indexed_field(store: Store) -> None:
    await store.commit(
        [
            event(0),
            event(1, kind=EventKind.CALL_OUTCOME, call_id="call-0"),
            event(2, session_id="s-2"),
            event(3, tool="time/now"),
        ]
    )

    def indexes(**wanted: object) -> list[int]:
        return [record.index for record in store.find(**wanted)]  # type: ignore[arg-type]

    assert indexes() == [3, 2, 1, 0]
    assert indexes(newest_first=False, limit=2) == [0, 1]
    assert indexes(kind="call.outcome") == [1]
    assert indexes(call_id="call-0") == [1, 0]
    assert indexes(session_id="s-2") == [2]
    assert indexes(tool="git/log", kind="call.intent") == [2, 0]
    assert indexes(since_ns=1_790_000_000_000_000_002) == [3, 2]
    assert indexes(call_id="call-9") == []


_KINDS = (EventKind.CALL_INTENT, EventKind.CALL_OUTCOME, EventKind.LISTED)
_ASKED: list[dict[str, object]] = [
    {},
    {"kind": "call.intent"},
    {"session_id": "s-3"},
    {"session_id": "s-3", "kind": "call.outcome"},
    {"tool": "git/1", "session_id": "s-4"},
    {"call_id": "call-777"},
    {"call_id": "call-3", "kind": "call.intent"},
    {"since_ns": 1_790_000_000_000_001_300},
    {"since_ns": 1_790_000_000_000_000_400, "kind": "call.intent"},
    {"session_id": "nobody"},
]


async def test_a_search_gives_what_reading_everything_through_would(store: Store) -> None:
    """With more records than a store may leave unindexed, and some after those that it has indexed."""
    said = [
        event(n, kind=_KINDS[n % 3], call_id=f"call-{n // 2}", session_id=f"s-{n % 7}", tool=f"git/{n % 2}")
        for n in range(1_700)
    ]
    for start in range(0, len(said), 90):
        await store.commit(said[start : start + 90])
    for asked in _ASKED:
        since = asked.get("since_ns", 0)
        fields = {name: value for name, value in asked.items() if name != "since_ns"}
        expected = [
            n
            for n, each in enumerate(said)
            if each.time_ns >= since  # type: ignore[operator]
            and all(str(getattr(each, name)) == value for name, value in fields.items())
        ]
        for limit in (1, 30, 10_000):
            newest = [each.index for each in store.find(**asked, limit=limit)]  # type: ignore[arg-type]
            assert newest == expected[::-1][:limit], (asked, limit)
            oldest = store.find(**asked, limit=limit, newest_first=False)  # type: ignore[arg-type]
            assert [each.index for each in oldest] == expected[:limit], (asked, limit)


async def test_records_are_read_by_range(store: Store) -> None:
    await store.commit([event(number) for number in range(300)])
    assert [record.index for record in store.records(290)] == list(range(290, 300))
    assert [record.index for record in store.records(2, 5)] == [2, 3, 4]
    assert len(list(store.records())) == 300
    assert list(store.records(300)) == []


async def test_payloads_come_back_and_stand_nowhere_in_the_log(store: Store) -> None:
    payloads = {"arguments": b'{"q":"hunter2"}', "note": b"", "result": b"\x00" * 5000}
    await store.commit([event(0, payloads=payloads), event(1)])
    assert {name: store.payload(0, name) for name in payloads} == payloads
    assert store.payload(0, "other") is None
    assert store.payload(1, "arguments") is None
    assert store.payload(9, "arguments") is None
    body = next(iter(store.records())).body
    assert b"hunter2" not in body
    assert orjson.loads(body)["payload_digests"] == {
        name: store.digest(data) for name, data in payloads.items()
    }


async def test_a_shredded_payload_is_gone_and_the_log_still_verifies(store: Store) -> None:
    await store.commit([event(0, payloads={"arguments": b"{}"}), event(1, payloads={"arguments": b"[]"})])
    await store.shred(0)
    await store.shred(0)  # there is nothing left to destroy, so nothing more is recorded
    await store.shred(99)
    assert store.payload(0, "arguments") is None
    assert store.payload(1, "arguments") == b"[]"
    (record,) = store.find(kind="payload.shredded")
    assert orjson.loads(record.body)["index"] == 0
    assert orjson.loads(record.body)["call_id"] == "call-0"
    assert store.size() == 3
    assert verify_store(store, store.verifier_key()).ok


async def test_equal_data_has_equal_digests_that_no_plain_hash_gives(store: Store) -> None:
    assert store.digest(b"yes") == store.digest(b"yes") != store.digest(b"no")
    assert store.digest(b"yes").startswith("hmac-sha256:")
    assert len(store.digest(b"")) == len("hmac-sha256:") + 64


@pytest.mark.parametrize(
    ("events", "changes"),
    [
        ([event(1, body={"ratio": 0.5})], []),
        ([event(1, call_id="\ud800")], []),
        ([], [Put(Table.INCIDENT, "\ud800", b"")]),
    ],
)
async def test_what_can_not_be_stored_fails_its_caller_and_not_the_store(
    store: Store, events: list[Event], changes: list[Put]
) -> None:
    with pytest.raises(InvariantBroken):
        await store.commit(events, changes)
    assert store.healthy() == ""
    await store.commit([event(2)])
    assert store.size() == 1


@pytest.mark.parametrize("bad", [{"body": {"ratio": 0.5}}, {"payloads": {"arguments": "no bytes"}}])
async def test_what_can_not_be_stored_fails_nobody_else_of_its_group(
    store: Store, bad: dict[str, object]
) -> None:
    async with asyncio.timeout(10):  # a caller that is never told would wait for ever
        first, wrong, last = await asyncio.gather(
            *(store.commit([each]) for each in (event(1), event(2, **bad), event(3))), return_exceptions=True
        )
    assert isinstance(wrong, Exception)
    assert not isinstance(first, BaseException)
    assert not isinstance(last, BaseException)
    assert store.size() == 2
    assert store.healthy() == ""


async def test_a_cancelled_caller_does_not_undo_its_commit(store: Store) -> None:
    task = asyncio.ensure_future(store.commit([event(1)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.commit([event(2)])
    assert store.size() == 2


async def test_a_closed_store_refuses_and_says_so(store: Store) -> None:
    await store.commit([event(1)])
    await store.close()
    await store.close()
    assert store.healthy() != ""
    with pytest.raises(AuditStopped):
        await store.commit([event(2)])


async def test_more_than_the_queue_holds_is_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, origin="ward", clock=VirtualClock(), ids=CountingIds())
    count = limits.COMMIT_QUEUE_MAX + 100
    plain = event(1)
    results = await asyncio.gather(*(store.commit([plain]) for _ in range(count)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 100
    assert store.size() == limits.COMMIT_QUEUE_MAX
    await store.commit([plain])
    assert verify_store(store, store.verifier_key()).ok
    await store.close()


async def test_the_memory_store_fails_on_demand_like_a_disk() -> None:
    store = MemoryStore(
        clock=VirtualClock(), ids=CountingIds(), full_at=frozenset({2}), fail_at=frozenset({4})
    )
    outcomes, final = [], []
    for number in range(6):
        try:
            await store.commit([event(number)])
        except AuditUnavailable as refused:
            outcomes.append(store.healthy())
            final.append(isinstance(refused, AuditStopped))
        else:
            outcomes.append("ok")
    stopped = "the audit log stopped at its first failed write"
    assert outcomes == ["ok", "the disk of the audit log is full", "ok", stopped, stopped, stopped]
    assert final == [False, True, True, True]
    assert store.size() == 2
