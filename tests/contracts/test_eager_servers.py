"""Servers that say more than anybody asked for: they wait, and nobody else does; and one that answers no more."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_mcp_upstreams import SERVERS, World, text_of

from builders import INTENT, FakeExchange, a_permit
from toolward.adapters.tools.mcp import link
from toolward.adapters.tools.mcp.stdio import child
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.errors import ReasonCode
from toolward.model.call import Stopped
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

EAGER = (sys.executable, str(SERVERS / "eager_server.py"))
WITHOUT = 1_000_000_000
MIB = 1024 * 1024


@pytest.fixture(params=["caged", "bare"])
async def eager(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[McpUpstreams]:
    world = World(tmp_path)
    bare = request.param == "bare"
    yield world.upstreams(
        ServerBinding(server="srv", kind=BindingKind.STDIO, command=EAGER, unsafe_no_sandbox=bare)
    )
    await world.close()


async def eager_call(eager: McpUpstreams) -> tuple[Stopped, int]:
    """How a call ended during which the server never stops talking, and how much of that was read."""
    assert text_of(await eager.execute(a_permit("srv", "ok"), INTENT, FakeExchange())) == "ok"
    exchange = FakeExchange()
    outcome = await eager.execute(a_permit("srv", "eager", timeout_ms=3_000), INTENT, exchange)
    assert isinstance(outcome, Stopped), outcome
    return outcome, len(exchange.heard)


async def test_a_server_that_talks_without_end_during_a_call_is_read_no_faster_than_it_is_worth(
    eager: McpUpstreams,
) -> None:
    outcome, heard = await eager_call(eager)
    assert outcome.reason == ReasonCode.TIMED_OUT.value
    assert heard < 200 + 3 * 200 + 2_600  # the burst, three seconds, and what one read of a pipe may hold
    assert eager.counts("srv")["paced"] > 0


async def test_control_without_the_pace_it_is_read_until_it_is_killed(
    eager: McpUpstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "INTERIM_BURST_MAX", WITHOUT)
    outcome, _ = await eager_call(eager)  # more wait for the caller than may, or more came than may
    assert (outcome.reason, eager.counts("srv").get("paced", 0)) == (ReasonCode.KILLED.value, 0)


async def shouted(eager: McpUpstreams) -> int:
    """Bytes that the server could write to stderr in about a second."""
    assert text_of(await eager.execute(a_permit("srv", "loud"), INTENT, FakeExchange())) == "ok"
    return int(text_of(await eager.execute(a_permit("srv", "said"), INTENT, FakeExchange())))


async def test_a_server_that_fills_its_stderr_waits_and_still_answers(eager: McpUpstreams) -> None:
    assert await shouted(eager) < 4 * MIB


async def test_control_without_the_pace_its_stderr_is_read_as_fast_as_it_writes(
    eager: McpUpstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "STDERR_BURST_BYTES", WITHOUT)
    assert await shouted(eager) > 4 * MIB


async def test_a_process_whose_calls_have_no_answer_is_replaced_though_it_answers_pings(
    eager: McpUpstreams,
) -> None:
    for _ in range(5):
        late = await eager.execute(a_permit("srv", "shy", timeout_ms=50), INTENT, FakeExchange())
        assert isinstance(late, Stopped)
    assert eager.counts("srv")["ejected"] == 1
    assert text_of(await eager.execute(a_permit("srv", "ok"), INTENT, FakeExchange())) == "ok"
