"""Rollback beside others: a busy resource, a full queue, a run that broke off, two people who decide at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.corridor.test_rollback import SECOND, act, roll_back
from tests.harness import OPERATOR, code_of
from tests.rollback_world import Things, undoable_world
from typing_extensions import override

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import AuditUnavailable, Contested, Overloaded, Rejected
from toolward.model.call import RawOutcome
from toolward.model.event import Event, EventKind, Receipt
from toolward.ports.store import Change

PLACE = ("shop/place", {"order": "7"})
NOTE = ("shop/note", {"text": "hello"})


# --- a run goes on


class Crowded(MemoryStore):
    """Its queue is full for so many commits of a rollback's steps; then, perhaps, something happens first."""

    full = 0
    broken = 0
    first: Callable[[], Awaitable[object]] | None = None

    @override
    async def commit(self, events: Sequence[Event], changes: Sequence[Change] = ()) -> tuple[Receipt, ...]:
        if any(event.kind is EventKind.ROLLBACK_STEP for event in events):
            if self.full > 0:
                self.full -= 1
                raise Overloaded("too many records wait for the audit log")
            if self.broken > 0:
                self.broken -= 1
                raise AuditUnavailable("the disk is full")
            if self.first is not None:
                first, self.first = self.first, None
                await first()
        return await super().commit(events, changes)


def crowded() -> Crowded:
    return Crowded(clock=VirtualClock(), ids=CountingIds())


async def test_a_step_whose_resource_stays_busy_is_stuck_and_the_others_are_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        busy, _ = await act(world, session, PLACE, NOTE)
        monkeypatch.setattr("toolward.kernel.rollback.turns.WAIT_S", 0.0)
        await world.house.rollbacks._journal.turns.take("another call", ("order:7",))
        row = await roll_back(world, session)
        assert row["state"] == "NEEDS_HUMAN"
        assert "still at work" in row["steps"][busy]["note"]
        assert things.notes == {}
        world.house.rollbacks._journal.turns.leave("another call")
        assert (await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR))["state"] == "COMPENSATED"


async def test_a_rollback_waits_while_the_queue_of_the_log_is_full(tmp_path: Path) -> None:
    things, store = Things(), crowded()
    async with undoable_world(tmp_path, things, store=store) as world:
        session = await world.session()
        await act(world, session, PLACE, NOTE)
        store.full = 3
        assert (await roll_back(world, session))["state"] == "COMPENSATED"
        assert (store.full, things.orders, things.notes) == (0, set(), {})


async def test_a_rollback_that_broke_off_is_gone_on_with_by_a_retry(tmp_path: Path) -> None:
    things, store = Things(), crowded()
    async with undoable_world(tmp_path, things, store=store) as world:
        session = await world.session()
        await act(world, session, PLACE)
        store.broken = 1
        with pytest.raises(AuditUnavailable):
            await roll_back(world, session)
        [row] = world.house.rollbacks.rows(session)
        assert row["state"] == "running"
        assert code_of(await world.call(session, *NOTE)) == "resource_fenced"
        again = await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR)
        assert (again["state"], things.done["cancel 7"]) == ("COMPENSATED", 1)
        assert (await world.call(session, *NOTE)).error is None


async def test_a_rollback_that_runs_is_not_retried_beside_itself(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        await act(world, session, PLACE)
        told = []

        async def cancel(permit: Any, intent: Any, exchange: Any) -> RawOutcome:
            [row] = world.house.rollbacks.rows(session)
            with pytest.raises(Rejected, match="already"):
                await world.house.rollbacks.retry(row["rollback_id"], by=OPERATOR)
            told.append(row["state"])
            return await things.run(permit, intent, exchange)

        world.upstreams.answers["shop/cancel"] = cancel
        assert (await roll_back(world, session))["state"] == "COMPENSATED"
        assert told == ["running"]


# --- two people at once


async def test_nothing_is_accepted_while_it_is_tried_again(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        things.broken = {"cancel"}
        number = (await roll_back(world, session))["rollback_id"]
        await world.house.rollbacks.accept(number, call_id, reason="x", by=OPERATOR)
        things.broken = set()
        told = []

        async def cancel(permit: Any, intent: Any, exchange: Any) -> RawOutcome:
            try:
                await world.house.rollbacks.accept(number, call_id, reason="y", by=SECOND)
            except Rejected as refused:
                told.append(refused.reason.code)
            return await things.run(permit, intent, exchange)

        world.upstreams.answers["shop/cancel"] = cancel
        assert (await world.house.rollbacks.retry(number, by=OPERATOR))["state"] == "COMPENSATED"
        assert told == ["not_pending"]


async def test_nothing_is_accepted_between_a_retry_and_its_record(tmp_path: Path) -> None:
    things, store = Things(), crowded()
    async with undoable_world(tmp_path, things, store=store) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        things.broken = {"cancel"}
        rollbacks, number = world.house.rollbacks, (await roll_back(world, session))["rollback_id"]
        things.broken, told = set(), []

        async def meanwhile() -> None:
            with pytest.raises(Rejected) as refused:
                await rollbacks.accept(number, call_id, reason="x", by=OPERATOR)
            told.append(refused.value.reason.code)

        store.first = meanwhile
        assert (await rollbacks.retry(number, by=OPERATOR))["state"] == "COMPENSATED"
        assert told == ["in_progress"]


@pytest.mark.parametrize("first", ["accept", "retry"])
async def test_who_accepts_just_after_somebody_else_decided_is_told_to_look_again(
    tmp_path: Path, first: str
) -> None:
    things, store = Things(), crowded()
    async with undoable_world(tmp_path, things, store=store) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        things.broken = {"cancel"}
        rollbacks, number = world.house.rollbacks, (await roll_back(world, session))["rollback_id"]
        if first == "accept":
            store.first = lambda: rollbacks.accept(number, call_id, reason="x", by=OPERATOR)
        else:
            store.first = lambda: rollbacks.retry(number, by=OPERATOR)
        with pytest.raises(Contested):
            await rollbacks.accept(number, call_id, reason="y", by=SECOND)
        [row] = rollbacks.rows(session)
        said = [each["by"] for each in row["steps"][call_id]["accepted"]]
        assert (row["state"], said) == ("NEEDS_HUMAN", [OPERATOR.user] if first == "accept" else [])
        assert code_of(await world.call(await world.session(), *PLACE)) == "resource_fenced", "still stuck"


async def test_a_retry_beside_an_acceptance_is_told_to_look_again_and_undoes_nothing(tmp_path: Path) -> None:
    things = Things()
    async with undoable_world(tmp_path, things) as world:
        session = await world.session()
        [call_id] = await act(world, session, PLACE)
        things.broken = {"cancel"}
        rollbacks, number = world.house.rollbacks, (await roll_back(world, session))["rollback_id"]
        await rollbacks.accept(number, call_id, reason="x", by=OPERATOR)
        things.broken = set()
        row, contested = await asyncio.gather(
            rollbacks.accept(number, call_id, reason="y", by=SECOND),
            rollbacks.retry(number, by=OPERATOR),
            return_exceptions=True,
        )
        assert isinstance(contested, (Contested, Rejected)), "the acceptance may be written before it looks"
        assert isinstance(row, dict)
        assert (row["state"], things.orders) == ("PARTIALLY_COMPENSATED", {"7"})
        await act(world, session, NOTE)
