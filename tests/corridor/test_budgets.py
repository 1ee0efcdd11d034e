"""Budgets of a session: what policy counts holds for calls that run at once, and after a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from harness import code_of, open_world
from toolward.adapters.stores.memory import MemoryStore

AT_MOST_THREE = """
@id("three-writes")
@ask("user")
@reason("this session has written three times already")
forbid (principal, action in Toolward::Action::"writes", resource)
when { context.session.written >= 3 };
"""
WRITE = ("files/write", {"path": "/data/a", "text": "x"})


async def test_calls_that_run_at_once_do_not_pass_a_bound_together(tmp_path: Path) -> None:
    async with open_world(tmp_path, files={"policies/budget.cedar": AT_MOST_THREE}) as world:
        session = await world.session()
        replies = await asyncio.gather(
            *(world.call(session, WRITE[0], {**WRITE[1], "text": str(n)}) for n in range(10))
        )
        codes = Counter("ran" if reply.error is None else code_of(reply) for reply in replies)
        assert codes == {"ran": 3, "approval_required": 7}


async def test_without_the_rule_all_of_them_run(tmp_path: Path) -> None:
    """The control."""
    async with open_world(tmp_path) as world:
        session = await world.session()
        replies = await asyncio.gather(*(world.call(session, *WRITE) for _ in range(10)))
        assert all(reply.error is None for reply in replies)


async def test_reads_and_lists_do_not_count_as_writes_and_a_restart_forgets_nothing(tmp_path: Path) -> None:
    files = {"policies/budget.cedar": AT_MOST_THREE}
    async with open_world(tmp_path, files=files) as world:
        session = await world.session()
        for _ in range(5):
            assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None
        for _ in range(3):
            assert (await world.call(session, *WRITE)).error is None
        assert code_of(await world.call(session, *WRITE)) == "approval_required"
        counted = world.house.parts.sessions.current(session)
        assert counted is not None
        assert (counted.calls, counted.written) == (8, 3)
        store: MemoryStore = world.store
    async with open_world(tmp_path, store=store) as again:
        counted = again.house.parts.sessions.current(session)
        assert counted is not None
        assert (counted.calls, counted.written) == (8, 3)
        assert code_of(await again.call(session, *WRITE)) == "approval_required"
