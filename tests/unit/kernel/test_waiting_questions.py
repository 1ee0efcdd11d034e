"""Ten thousand questions wait, and nothing runs for them: one look at the nearest due time."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace
from tests.approvals_world import ROLES, approval_of, ask_desk, policy, sign_up
from tests.harness import WARD, World, open_world

from toolward.kernel.approvals.ground import put_approval
from toolward.model.approval import Approval
from toolward.ports.store import Row, Store, Table

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
MANY = 10_000
LOOKS = 3_600


class Counting:
    """A store that counts how often it is read; all else is the world's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def get(self, table: Table, key: str) -> Row | None:
        self.reads += 1
        return self._store.get(table, key)

    def scan(self, table: Table, prefix: str = "") -> Iterator[Row]:
        self.reads += 1
        return self._store.scan(table, prefix)


async def many_questions(world: World) -> list[Approval]:
    """Copies of one real question, of as many sessions, each due a second after the one before."""
    session = await world.session()
    ground = world.house.parts.approvals.ground
    first = ground.found(approval_of(await world.call(session, *WRITE))).approval
    copies = [
        replace(
            first,
            approval_id=f"{number:05}",
            subject=f"{number}",
            call={**first.call, "session_id": f"s{number}"},
            expires_ms=first.expires_ms + 1000 * number,
        )
        for number in range(1, MANY)
    ]
    await world.store.commit([], [put_approval(each, expect=0) for each in copies])
    return copies


async def test_ten_thousand_waiting_questions_cost_nothing_while_nothing_is_due(tmp_path: Path) -> None:
    files = {
        "toolward.yaml": WARD + ROLES,
        "policies/a.cedar": policy("rule", '@ask("owner")', tool="files/write"),
    }
    async with open_world(tmp_path, files=files) as world:
        copies = await many_questions(world)
        store = world.store
    store.restart()
    async with open_world(tmp_path, store=store, approved=False) as world:
        approvals = world.house.parts.approvals
        counting = Counting(world.store)
        object.__setattr__(approvals.ground, "store", counting)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(LOOKS):
            assert await approvals.watch.tick() == 0
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert counting.reads == 0, "an idle hour looks at no row"
        assert after.ru_utime - before.ru_utime < 0.25, "and costs no measurable time"
        world.clock.advance((copies[9].expires_ms - world.clock.now_ns() // 1_000_000) / 1000)
        assert await approvals.watch.tick() == 11, "what is due is done, and only that"
        assert counting.reads <= 11


async def test_what_was_over_a_month_ago_leaves_the_state_and_stays_on_record(tmp_path: Path) -> None:
    files = {
        "toolward.yaml": WARD + ROLES,
        "policies/a.cedar": policy("rule", '@ask("owner")', tool="files/write"),
    }
    async with open_world(tmp_path, files=files) as world:
        await sign_up(world, "olga")
        session = await world.session()
        for text in "abc":
            approval = approval_of(await world.call(session, WRITE[0], {**WRITE[1], "text": text}))
        await ask_desk(world, "olga", "grants.make", approval=approval)
        await world.call(session, *WRITE)
        ground = world.house.parts.approvals.ground
        prune = world.house.parts.approvals.prune
        world.clock.advance(29 * 86_400)
        assert await prune() == 0
        world.clock.advance(3 * 86_400)
        later = approval_of(await world.call(session, *WRITE))
        assert await prune() > 3
        assert [each.approval_id for each in ground.every()] == [later]
        assert len(list(world.store.scan(Table.GRANT))) == 0
        assert len(world.records("approval.asked")) == 4
