"""Fallbacks are compared on schedule with what they are to stand in for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.harness import World, default_tools, open_world
from tests.harness import tool as define

from toolward.bootstrap.comparing import Comparing
from toolward.errors import Rejected, ToolwardError

PRIMARY = """\
server: files
resilience: {}
tools:
  read: {effect: read_only, egress: false, resilience: {fallback: mail/read}}
  write: {effect: reversible, egress: false}
  drop: {effect: irreversible, egress: false}
"""
OTHER = """\
server: mail
tools:
  read: {effect: read_only, egress: false}
  fetch: {effect: read_only, egress: true}
  send: {effect: irreversible, egress: true}
"""


class Runner:
    """Stands in for the process that compares."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.said: bytes = b'{"differences": []}'

    async def __call__(self, asked: bytes) -> bytes:
        self.asked.append(orjson.loads(asked))
        return self.said


@asynccontextmanager
async def comparing(folder: Path, every_h: int = 24) -> AsyncIterator[tuple[World, Comparing, Runner]]:
    tools = default_tools()
    tools["mail"].append(define("read", "path"))
    files = {"tools/files.yaml": PRIMARY, "tools/mail.yaml": OTHER}
    async with open_world(folder, files=files, tools=tools) as world:
        runner = Runner()
        yield (
            world,
            Comparing(desk=world.house.desk, path=folder, every_h=lambda: every_h, run=runner),
            runner,
        )


async def used(world: World) -> None:
    reply = await world.call(await world.session(), "files/read", {"path": "/data/a"})
    assert reply.error is None


async def test_a_fallback_is_compared_by_recorded_calls_and_not_again_before_its_time(tmp_path: Path) -> None:
    async with comparing(tmp_path) as (world, it, runner):
        await used(world)
        assert await it.look("files/read", "mail/read")
        assert runner.asked[0]["calls"] == [{"path": "/data/a"}]
        assert [runner.asked[0][side][0] for side in ("first", "second")] == ["files/read", "mail/read"]
        (said,) = world.records("tool.evidence")
        assert (said["holds"], said["calls"], said["by"]["agent"]) == (True, 1, "toolward-compare")
        world.clock.advance(23 * 3_600)
        assert not await it.look("files/read", "mail/read")
        world.clock.advance(2 * 3_600)
        assert await it.look("files/read", "mail/read")


async def test_a_fallback_that_answers_otherwise_is_told_of_and_on_record(tmp_path: Path) -> None:
    async with comparing(tmp_path) as (world, it, runner):
        await used(world)
        runner.said = b'{"differences": [{"arguments": {}, "first": "a", "second": "b"}]}'
        with pytest.raises(Rejected, match="answers 1 of 1 calls otherwise than files/read"):
            await it.look("files/read", "mail/read")
        (said,) = world.records("tool.evidence")
        assert (said["holds"], said["differences"]) == (False, 1)
        assert not await it.look("files/read", "mail/read"), "it is known, and looked at again in a day"


async def test_nothing_is_compared_that_nobody_used_or_when_the_ward_says_never(tmp_path: Path) -> None:
    async with comparing(tmp_path) as (_, it, runner):
        assert not await it.look("files/read", "mail/read")
        assert runner.asked == []
    async with comparing(tmp_path / "other", every_h=0) as (world, it, runner):
        await used(world)
        assert not await it.look("files/read", "mail/read")
        assert runner.asked == []


async def test_a_comparison_that_breaks_is_told_of_and_tried_at_the_next_look(tmp_path: Path) -> None:
    async with comparing(tmp_path) as (world, it, runner):
        await used(world)
        for said, text in (
            (b"", "could not be compared"),
            (b'{"error": "no such server"}', "no such server"),
        ):
            runner.said = said
            with pytest.raises(Rejected, match=text):
                await it.look("files/read", "mail/read")
        assert world.records("tool.evidence") == []
        runner.said = b'{"differences": []}'
        assert await it.look("files/read", "mail/read")


async def test_the_schedule_looks_at_every_declared_fallback_and_goes_on_after_trouble(
    tmp_path: Path,
) -> None:
    async with comparing(tmp_path) as (world, it, runner):
        await used(world)
        told: list[str] = []

        class Enough(Exception):
            pass

        def report(tool: str, error: ToolwardError) -> None:
            told.append(f"{tool}: {error.reason.text}")
            if len(told) == 2:
                raise Enough

        runner.said = b"nothing"
        with pytest.raises(Enough):
            await it.keep(report)
        assert all(each.startswith("files/read: files/read and its fallback") for each in told)
