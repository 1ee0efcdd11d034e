"""The Python face, async and sync."""

from __future__ import annotations

from pathlib import Path

import pytest

import toolward
from toolward import Denied, Rejected, ToolwardError, UnknownTool


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def test_a_savepoint_names_a_place_in_the_log_once(tmp_path: Path) -> None:
    (tmp_path / "toolward.yaml").write_text("version: 1\nname: face\n")
    async with toolward.open(tmp_path) as ward, ward.session(user="ana", agent="a") as session:
        first = await session.savepoint("before")
        assert await session.savepoint("after") == first + 1
        with pytest.raises(Rejected):
            await session.savepoint("before")


def test_the_sync_face_is_the_same_corridor(tmp_path: Path) -> None:
    (tmp_path / "toolward.yaml").write_text("version: 1\nname: face\n")
    with (
        toolward.open_sync(tmp_path, functions=[add]) as ward,
        ward.session(user="ana", agent="a") as session,
    ):
        assert session.list_tools() == []
        assert session.savepoint("start") > 0
        for name in ("python/add", "python__add"):  # as people write it, and as the list has it
            with pytest.raises(Denied, match="not approved"):
                session.call(name, a=1, b=2)
        with pytest.raises(UnknownTool):
            session.call("add", a=1, b=2)


def test_two_processes_can_not_have_one_ward_open(tmp_path: Path) -> None:
    (tmp_path / "toolward.yaml").write_text("version: 1\nname: face\n")
    with (
        toolward.open_sync(tmp_path),
        pytest.raises(ToolwardError, match="another"),
        toolward.open_sync(tmp_path),
    ):
        raise AssertionError
