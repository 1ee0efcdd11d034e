"""Parser differentials: bodies that one reader takes for a harmless call and another for a harmful one.

The control is a relay that judges its own lenient parse and forwards the bytes it got. Each trick passes it.
Through the door no trick arrives anywhere, and what does arrive is the very value that was judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from mcp_door_world import World, call_body

GOOD, EVIL = "read", "delete"


def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        out.setdefault(key, value)
    return out


def folding(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As parsers do that match names without regard to case, the last one winning."""
    return {key.lower(): value for key, value in pairs}


def judge_strictly_named(body: bytes) -> bool:
    """A lenient gateway: reads exact names, first one wins, and lets pass what calls no forbidden tool."""
    try:
        call = json.loads(body, object_pairs_hook=first_wins)
    except ValueError:
        return True  # not json, so it calls nothing: relayed for the upstream to complain about
    if not isinstance(call, dict) or call.get("method") != "tools/call" or "id" not in call:
        return True
    params = call["params"]
    return params.get("name") != EVIL and "NaN" not in json.dumps(params.get("limit"))


def upstream_runs(body: bytes) -> list[str]:
    """A lenient upstream: the tools that it would run."""
    value = json.loads(body, object_pairs_hook=folding)  # finds out UTF-16 by itself, takes NaN
    calls = value if isinstance(value, list) else [value]
    found = []
    for call in calls:
        if call.get("method") == "tools/call":
            target = call["params"]["name"]
            path = call["params"].get("arguments", {}).get("path", "")
            limit = call["params"].get("arguments", {}).get("limit", 0)
            found.append(EVIL if path == "/etc" or limit != limit else target)  # noqa: PLR0124 -- that is NaN
    return found


def body(inner: str) -> bytes:
    return ('{"jsonrpc":"2.0",' + inner + "}").encode()


TRICKS = {
    "name": body('"id":1,"method":"tools/call","params":{"name":"read","Name":"delete"}'),
    "method": body('"id":1,"method":"ping","METHOD":"tools/call","params":{"name":"delete"}'),
    "arguments": body(
        '"id":1,"method":"tools/call","params":{"name":"read","arguments":{},"Arguments":{"path":"/etc"}}'
    ),
    "nan": body('"id":1,"method":"tools/call","params":{"name":"read","arguments":{"limit":NaN}}'),
    "utf-16": b"\xff\xfe" + call_body(EVIL).decode().encode("utf-16-le"),
    "duplicate": body('"id":1,"method":"tools/call","params":{"name":"read","name":"delete"}'),
    "batch": b"[" + call_body(EVIL) + b"]",
    "no id": body('"method":"tools/call","params":{"name":"delete"}'),
}


def lenient_relay(raw: bytes, upstream: Callable[[bytes], list[str]]) -> list[str]:
    try:
        passes = judge_strictly_named(raw)
    except UnicodeDecodeError:
        passes = True
    return upstream(raw) if passes else []


@pytest.mark.parametrize("trick", [name for name in TRICKS if name != "utf-16"])
def test_control_a_relay_of_bytes_lets_the_trick_through(trick: str) -> None:
    assert lenient_relay(TRICKS[trick], upstream_runs) == [EVIL]


def test_control_a_relay_that_reads_only_utf_8_lets_utf_16_through() -> None:
    with pytest.raises(UnicodeDecodeError):
        TRICKS["utf-16"].decode("utf-8")  # such a relay sees no call in it …
    assert upstream_runs(TRICKS["utf-16"]) == [EVIL]  # … and its upstream does


@pytest.mark.parametrize("trick", TRICKS)
async def test_through_the_door_the_trick_arrives_nowhere(trick: str) -> None:
    world = World()
    client = await world.opened()
    assert (await client.send(TRICKS[trick])).status == 400
    assert world.gateway.attempts == []


async def test_what_arrives_is_what_was_judged() -> None:
    world = World()
    client = await world.opened()
    await client.send(
        b' {"method":"tools/call", "params":{"arguments":{"b":1,"a":[]},"name":"read"},"id":1,"jsonrpc":"2.0"}'
    )
    assert orjson.dumps(world.gateway.attempts[0].params) == b'{"arguments":{"b":1,"a":[]},"name":"read"}'
