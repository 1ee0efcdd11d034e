"""What ran has an outcome, whatever it answered and however busy the log is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.harness import World, code_of, open_world

from toolward.errors import Overloaded
from toolward.kernel.stages import settle
from toolward.model.call import Intent, RawOutcome, Returned
from toolward.model.event import EventKind
from toolward.model.permit import Permit
from toolward.ports.store import Table
from toolward.ports.upstream import Exchange

NESTED = 250


async def deep(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
    del permit, intent, exchange
    value: Any = "bottom"
    for _ in range(NESTED):
        value = [value]
    return Returned(result={"content": [], "structuredContent": {"x": value}}, size_bytes=1)


async def test_an_answer_too_deep_to_be_written_is_bad_output_with_an_outcome(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.upstreams.answers["files/write"] = deep
        session = await world.session()
        reply = await world.call(session, "files/write", {"path": "/data/a", "text": "x"})
        assert code_of(reply) == "bad_output"
        assert not list(world.store.scan(Table.OPEN_INTENT))
        assert world.records("call.outcome")[-1]["status"] == "stopped"


async def write_with_a_full_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The log refuses the first offer of the outcome."""
    monkeypatch.setattr(settle, "QUEUE_PAUSE_S", 0)
    refused = []
    commit = world.store.commit

    async def busy(events: Any, changes: Any = ()) -> Any:
        if events[0].kind is EventKind.CALL_OUTCOME and not refused:
            refused.append(events)
            raise Overloaded("too many records wait for the audit log")
        return await commit(events, changes)

    monkeypatch.setattr(world.store, "commit", busy)
    reply = await world.call(await world.session(), "files/write", {"path": "/data/a", "text": "x"})
    assert refused
    return reply


async def test_what_ran_is_never_answered_as_refused_because_the_log_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`overloaded` says that nothing ran and may be tried again: the effect would happen twice."""
    async with open_world(tmp_path) as world:
        reply = await write_with_a_full_queue(world, monkeypatch)
        assert reply.error is None
        assert not list(world.store.scan(Table.OPEN_INTENT))
        assert not world.records("call.denied")


async def test_a_bug_while_a_tool_runs_leaves_an_outcome_and_is_reported(tmp_path: Path) -> None:
    async def buggy(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del permit, intent, exchange
        raise KeyError("sk-a-detail-that-nobody-outside-may-see")

    async with open_world(tmp_path) as world:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        world.upstreams.answers["files/write"] = buggy
        reply = await world.call(await world.session(), "files/write", {"path": "/data/a", "text": "x"})
        assert code_of(reply) == "unknown_outcome"
        assert "sk-a-detail" not in str(reply)
        assert [type(each) for each in told] == [KeyError]
        assert not list(world.store.scan(Table.OPEN_INTENT))
