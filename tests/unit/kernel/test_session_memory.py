"""What sessions remember is bounded for all of them together, and forgetting only makes decisions stricter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import open_world

from toolward.kernel import sessions


async def test_the_quietest_session_forgets_first_and_keeps_its_taint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSION_VALUES_MAX", 40)
    async with open_world(tmp_path) as world:
        world.upstreams.answers["files/read"] = " ".join(f"word-{n}" for n in range(25))
        quiet, busy = await world.session(), await world.session()
        for session in (quiet, busy):
            assert (await world.call(session, "files/read", {"path": "/data/a"})).error is None
        known = world.house.parts.sessions
        assert known._values <= 40
        assert known.memory(busy).size, "the busy one remembers"
        forgotten = known.memory(quiet)
        assert not forgotten.size
        assert forgotten.overflowed, "not knowing counts as having seen"
        kept = known.current(quiet)
        assert kept is not None
        assert kept.taint.integrity.name == "UNTRUSTED"


async def test_a_closed_session_gives_its_room_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        await world.call(session, "files/read", {"path": "/data/a"})
        assert world.house.parts.sessions._values > 0
        await world.house.gateway.close_session(session)
        assert world.house.parts.sessions._values == 0
