"""Record bytes are RFC 8785, and times are the calendar's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from toolward.model.event import Event, EventKind
from toolward.rules.record import ENVELOPE, encode_event, timestamp

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=127)).filter(lambda key: key not in ENVELOPE)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6), TEXT, st.integers(0, 2**62))
def test_a_record_is_exactly_the_canonical_json_of_rfc_8785(
    body: dict[str, object], tool: str, time_ns: int
) -> None:
    event = Event(event_id="e", time_ns=time_ns, kind=EventKind.LISTED, tool=tool, body=body)
    data = encode_event(event, {})
    assert data == rfc8785.dumps(orjson.loads(data))
    assert orjson.loads(data).items() >= body.items()


@given(st.integers(-60_000_000_000, 250_000_000_000))
def test_a_timestamp_is_the_calendars(second: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    assert timestamp(second * 10**9 + 123_456_789) == expected.strftime("%4Y-%m-%dT%H:%M:%S.123456Z")
