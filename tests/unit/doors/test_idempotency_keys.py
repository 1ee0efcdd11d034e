"""An idempotency key reaches the corridor from both eras of MCP, and refusals that pass are marked so."""

from __future__ import annotations

import pytest

from mcp_door_world import World, call_body, denied, message, modern_meta
from mcp_door_world import answering as answering_with
from toolward.doors.mcp.wire import DENIAL_KEY
from toolward.errors import ReasonCode
from toolward.kernel.attempt import IDEMPOTENCY_META


async def test_a_key_in_meta_reaches_the_corridor_in_both_eras() -> None:
    world = World()
    client = await world.opened()
    params = {"name": "echo", "arguments": {}, "_meta": {IDEMPOTENCY_META: "k1"}}
    await client.send(message("tools/call", params))
    meta = {**modern_meta(), IDEMPOTENCY_META: "k2"}
    await world.client().modern("tools/call", {"name": "echo", "arguments": {}}, meta=meta)
    keys = [attempt.params["_meta"][IDEMPOTENCY_META] for attempt in world.gateway.attempts]
    assert keys == ["k1", "k2"]


@pytest.mark.parametrize(
    ("code", "retryable"),
    [
        (ReasonCode.HELD_IN_ESCROW, True),
        (ReasonCode.IN_PROGRESS, True),
        (ReasonCode.RESOURCE_CONFLICT, True),
        (ReasonCode.CONTESTED, True),
        (ReasonCode.KEY_REUSED, False),
        (ReasonCode.ESCROW_CANCELLED, False),
        (ReasonCode.STOPPED, False),
        (ReasonCode.UNKNOWN_OUTCOME, False),
    ],
)
async def test_the_agent_reads_whether_the_same_call_may_come_again(
    code: ReasonCode, *, retryable: bool
) -> None:
    world = World()
    world.gateway.script = answering_with(denied(code))
    client = await world.opened()
    result = (await client.send(call_body("echo"))).result
    assert result["isError"] is True
    assert result["_meta"][DENIAL_KEY]["retryable"] is retryable
