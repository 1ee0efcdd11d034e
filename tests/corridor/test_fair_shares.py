"""What one caller, or nobody in particular, can use up is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.harness import AGENT, code_of, open_world

from toolward.config.limits import SIGN_IN_FAILURES_EACH_MAX, SIGN_IN_WINDOW_S
from toolward.errors import Reason, ReasonCode
from toolward.kernel import room
from toolward.model.call import Intent, RawOutcome, Reply, Returned
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.upstream import Exchange

OTHER = Principal(user="bob", agent="other", credential="key-2", kind=CredentialKind.API_KEY)


async def test_a_caller_with_many_calls_leaves_room_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CALLS_IN_FLIGHT_EACH_MAX", 2)
    monkeypatch.setattr(room, "CALLS_IN_FLIGHT_MAX", 4)
    async with open_world(tmp_path) as world:
        go_on = asyncio.Event()

        async def slow(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del permit, intent, exchange
            await go_on.wait()
            return Returned(result={"content": []}, size_bytes=1)

        world.upstreams.answers["files/read"] = slow
        busy, other = await world.session(AGENT), await world.session(OTHER)
        calls = [asyncio.create_task(world.call(busy, "files/read", {"path": "/data/a"})) for _ in range(5)]
        refused: list[asyncio.Task[Reply]] = []
        while len(refused) < 3:
            await asyncio.sleep(0)
            refused = [each for each in calls if each.done()]
        assert {code_of(each.result()) for each in refused} == {"overloaded"}
        reply = await world.call(other, "files/read_secret", principal=OTHER)
        assert reply.error is None
        go_on.set()
        await asyncio.gather(*calls)
        assert (await world.call(busy, "files/read", {"path": "/data/a"})).error is None


async def test_sign_ins_that_fail_by_the_thousand_are_counted_and_not_recorded_one_by_one(
    tmp_path: Path,
) -> None:
    reason = Reason(code=ReasonCode.UNAUTHENTICATED, text="no")
    async with open_world(tmp_path) as world:
        before = world.store.size()
        for _ in range(1_000):
            await world.house.gateway.record_sign_in_failure(reason, "http")
        assert world.store.size() == before + SIGN_IN_FAILURES_EACH_MAX
        world.clock.advance(SIGN_IN_WINDOW_S)
        await world.house.gateway.record_sign_in_failure(reason, "http")
        counts = [record["count"] for record in world.records("sign_in.failed")]
        assert sum(counts) == 1_001
        assert len(counts) == SIGN_IN_FAILURES_EACH_MAX + 2
