"""A turn of the loop: the others go first, and where nothing may be lost a hang-up is told and not raised."""

from __future__ import annotations

import asyncio

from toolward.kernel.turn import TURN, turn_kept


async def test_calls_that_began_together_take_each_step_together() -> None:
    said: list[str] = []

    async def call(name: str) -> None:
        for step in ("resolve", "label"):
            said.append(f"{name} {step}")
            await TURN

    await asyncio.gather(call("a"), call("b"))
    assert said == ["a resolve", "b resolve", "a label", "b label"]


async def test_a_hang_up_during_a_kept_turn_is_told_and_what_follows_happens() -> None:
    done: list[bool] = []

    async def settle() -> None:
        gone = await turn_kept()
        done.append(gone)
        if gone:
            raise asyncio.CancelledError

    task = asyncio.create_task(settle())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert done == [True]
    assert task.cancelled()
