"""What may be recorded, and how a time is written."""

from __future__ import annotations

from types import MappingProxyType

import orjson
import pytest

from toolward.errors import InvariantBroken
from toolward.model.event import Event, EventKind
from toolward.rules.record import encode_event, timestamp


def event(**body: object) -> Event:
    return Event(
        event_id="e-1",
        time_ns=1_790_000_000_123_456_789,
        kind=EventKind.CALL_INTENT,
        tool="git/log",
        body=body,
    )


def test_a_record_holds_the_envelope_the_body_and_the_digests() -> None:
    record = orjson.loads(encode_event(event(path="open"), {"arguments": "hmac-sha256:00"}))
    assert record == {
        "v": 1,
        "event_id": "e-1",
        "time": "2026-09-21T14:13:20.123456Z",
        "kind": "call.intent",
        "call_id": "",
        "session_id": "",
        "tool": "git/log",
        "path": "open",
        "payload_digests": {"arguments": "hmac-sha256:00"},
    }


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        None,
        b"x",
        2**53,
        -(2**53),
        2**70,
        {1: "x"},
        {"\u00e4": 1},
        {"a", "b"},
        "\ud800",
        [[1.5]],
    ],
)
def test_what_other_readers_would_read_differently_is_never_recorded(value: object) -> None:
    with pytest.raises(InvariantBroken):
        encode_event(event(inner={"value": [value]}), {})


@pytest.mark.parametrize(
    "value", [2**53 - 1, True, "1.5", "\u00e4", (1, "a"), {"k": [{}]}, MappingProxyType({"a": 1})]
)
def test_integers_text_truth_lists_and_objects_are_recorded(value: object) -> None:
    assert b'"value":' in encode_event(event(value=value), {})


@pytest.mark.parametrize("name", ["v", "kind", "time", "event_id", "payload_digests"])
def test_a_body_can_not_pass_for_another_record(name: str) -> None:
    with pytest.raises(InvariantBroken, match="envelope"):
        encode_event(event(**{name: "x"}), {})


@pytest.mark.parametrize("time_ns", [-1, 2**63])
def test_a_time_that_no_column_holds_is_never_recorded(time_ns: int) -> None:
    with pytest.raises(InvariantBroken, match="time"):
        encode_event(Event(event_id="e", time_ns=time_ns, kind=EventKind.LISTED), {})


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (951_782_400 * 10**9, "2000-02-29T00:00:00.000000Z"),
        (4_107_542_399 * 10**9 + 999, "2100-02-28T23:59:59.000000Z"),
    ],
)
def test_times_are_rfc_3339_with_microseconds(time_ns: int, text: str) -> None:
    assert timestamp(time_ns) == text
