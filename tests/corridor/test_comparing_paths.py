"""`paths.compare`: the same read down both paths, and what every tool would meet there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.harness import OPERATOR, World, open_world

from toolward.errors import Rejected
from toolward.governance.desk import invoke


async def compared(world: World, **parameters: Any) -> dict[tuple[str, str], dict[str, str]]:
    found = await invoke(world.house.desk, "paths.compare", parameters, OPERATOR)
    return {(row["aspect"], row["what"]): row for row in found["rows"]}


async def test_both_paths_run_the_same_read_and_say_why(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        rows = await compared(world, tool="files/read", arguments={"path": "/data/a"}, calls=4)
        why = rows["control surface", "why the work goes this way"]
        assert why["open"] == "an approved tool that only reads"
        assert why["secure"] == "the caller's host moved it there"
        refused = rows["refused", "of 4 calls"]
        assert (refused["open"], refused["secure"]) == ("none", "none")
        assert [key for key, _, _ in world.upstreams.ran] == ["files/read"] * 10  # one of each to begin with


async def test_the_secure_path_asks_about_more_than_the_open_one_and_nothing_of_it_runs(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        rows = await compared(world, tool="files/read", arguments={"path": "/data/a"}, calls=1)
        clean = rows["enforcement", "every tool, in a clean session"]
        asked = {path: int(clean[path].split("ask ")[1].split(",")[0]) for path in ("open", "secure")}
        assert asked["secure"] > asked["open"]
        assert {key for key, _, _ in world.upstreams.ran} == {"files/read"}


async def test_the_newest_recorded_read_is_the_work_where_none_is_named(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(Rejected, match="on record"):
            await compared(world)
        await world.call(await world.session(), "files/read", {"path": "/data/b"})
        found = await invoke(world.house.desk, "paths.compare", {"calls": 1}, OPERATOR)
        assert (found["tool"], found["arguments"]) == ("files/read", {"path": "/data/b"})


async def test_what_does_more_than_read_is_no_workload(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        with pytest.raises(Rejected, match="only reads"):
            await compared(world, tool="files/wipe", arguments={"path": "/data/a"})
        assert world.upstreams.ran == []


async def test_what_a_side_is_refused_is_counted_by_its_reason_code(tmp_path: Path) -> None:
    forbids = '@id("own/none-critical") forbid (principal, action, resource) when { context.call.critical };'
    async with open_world(tmp_path, files={"policies/own.cedar": forbids}) as world:
        rows = await compared(world, tool="files/read", arguments={"path": "/data/a"}, calls=3)
        refused = rows["refused", "of 3 calls"]
        assert (refused["open"], refused["secure"]) == ("none", "3 denied")
