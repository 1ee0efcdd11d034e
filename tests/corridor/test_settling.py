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
        assert not world.store.open_calls()
        assert world.records("call.outcome")[-1]["status"] == "stopped"


async def write_with_a_full_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The log refuses the first offer of the outcome."""
    monkeypatch.setattr(settle, "QUEUE_PAUSE_S", 0)
    refused = []
    commit = world.store.commit

    async def busy(events: Any, changes: Any = ()) -> Any:
        if events and events[0].kind is EventKind.CALL_OUTCOME and not refused:
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
        assert not world.store.open_calls()
        assert not world.records("call.denied")


async def hung_up_while(world: World, kind: EventKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose caller goes away while that record is on its way to the disk."""
    under_way = asyncio.Event()
    commit = world.store.commit

    async def slow(events: Any, changes: Any = ()) -> Any:
        writing = asyncio.ensure_future(commit(events, changes))
        if events and events[0].kind is kind and not under_way.is_set():
            under_way.set()
            await asyncio.Event().wait()
        return await writing

    monkeypatch.setattr(world.store, "commit", slow)
    session = await world.session()
    call = asyncio.ensure_future(world.call(session, "files/write", {"path": "/data/a", "text": "x"}))
    await under_way.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await world.house.background.drain()


async def test_a_caller_that_goes_while_the_intent_is_written_leaves_an_outcome_that_says_nothing_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        await hung_up_while(world, EventKind.CALL_INTENT, monkeypatch)
        assert not world.upstreams.ran
        assert [record["kind"] for record in world.records()][-2:] == ["call.intent", "call.outcome"]
        assert world.records()[-1]["reason"] == "killed"
        assert not world.store.open_calls()


async def test_a_caller_that_goes_while_the_outcome_is_written_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        await hung_up_while(world, EventKind.CALL_OUTCOME, monkeypatch)
        assert world.records()[-1]["status"] == "returned"
        assert not world.store.open_calls()


async def test_a_caller_that_goes_while_the_log_is_busy_leaves_an_outcome_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = asyncio.Event()
    async with open_world(tmp_path) as world:
        commit = world.store.commit

        async def busy(events: Any, changes: Any = ()) -> Any:
            if events and events[0].kind is EventKind.CALL_OUTCOME and not refused.is_set():
                refused.set()
                raise Overloaded("too many records wait for the audit log")
            return await commit(events, changes)

        monkeypatch.setattr(world.store, "commit", busy)
        session = await world.session()
        call = asyncio.ensure_future(world.call(session, "files/write", {"path": "/data/a", "text": "x"}))
        await refused.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await world.house.background.drain()
        assert world.records()[-1]["status"] == "returned"
        assert not world.store.open_calls()


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
        assert not world.store.open_calls()
