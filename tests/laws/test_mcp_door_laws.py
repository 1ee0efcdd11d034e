"""Laws of the MCP door's small parts."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_door_world import ALICE, STATE_KEY, CountingIds, ManualClock
from toolward.doors.mcp.event_log import EventLog, parse_event_id
from toolward.doors.mcp.messages import Request
from toolward.doors.mcp.sealing import Place, StateSealer
from toolward.doors.mcp.stateless.mirrored import unwrap
from toolward.doors.mcp.stdio.socket_http import EventLines
from toolward.doors.mcp.wire import Refusal

PLACE = Place(ALICE, "git", Request(1, "tools/call", {"name": "t", "arguments": {"a": 1}}), "t")


def a_sealer() -> StateSealer:
    return StateSealer(STATE_KEY, 60, clock=ManualClock(), ids=CountingIds())


@given(st.text())
def test_what_is_sealed_is_unsealed(state: str) -> None:
    sealer = a_sealer()
    assert sealer.unseal(sealer.seal(state, PLACE), PLACE) == state


@given(st.text(max_size=40), st.data())
def test_no_other_text_unseals(state: str, data: Any) -> None:
    sealer = a_sealer()
    sealed = sealer.seal(state, PLACE)
    at = data.draw(st.integers(0, len(sealed) - 1))
    put = data.draw(st.characters())
    changed = sealed[:at] + put + sealed[at + 1 :]
    if changed != sealed:
        with pytest.raises(Refusal):
            sealer.unseal(changed, PLACE)


@given(st.text())
def test_a_wrapped_header_value_is_the_text_it_was_made_of(text: str) -> None:
    wrapped = base64.b64encode(text.encode()).decode()
    assert unwrap(f"=?base64?{wrapped}?=") == text


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.binary(max_size=20).filter(lambda b: b"\n" not in b)), max_size=60
    ),
    st.integers(1, 20),
)
def test_a_replay_is_the_newest_part_of_its_stream_in_order(says: list[tuple[int, bytes]], kept: int) -> None:
    log = EventLog(events_max=kept, bytes_max=10_000)
    log.new_stream()
    log.new_stream()
    frames: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for stream, data in says:
        frames[stream].append(log.append(stream, data))
    total = 0
    for stream, said in frames.items():
        replayed = log.after(stream, 0)
        total += len(replayed)
        assert [frame for _, frame in replayed] == said[len(said) - len(replayed) :]
        for position, frame in replayed:
            assert parse_event_id(frame.split(b"\n")[0].decode().removeprefix("id: ")) == (stream, position)
    assert total == min(kept, len(says))


@given(
    st.lists(st.binary(min_size=1, max_size=30).filter(lambda b: not set(b) & {10, 13})), st.integers(1, 7)
)
def test_events_survive_any_cutting_into_pieces(said: list[bytes], size: int) -> None:
    log = EventLog(events_max=1000, bytes_max=1_000_000)
    raw = b": ping\n\n" + b"".join(log.append(0, b"x" + data) for data in said)
    lines = EventLines()
    heard = [data for at in range(0, len(raw), size) for data in lines.feed(raw[at : at + size])]
    assert heard == [b"x" + data for data in said]
