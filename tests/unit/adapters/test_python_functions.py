"""Registered functions walk the same corridor."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import OPERATOR

from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.bootstrap import open_house
from toolward.doors.python import OpenWard
from toolward.errors import BadArguments, Denied, ToolFailed, UnknownTool, WardError

WARD = "version: 1\nname: functions\n"
MANIFEST = """\
server: python
tools:
  add: {effect: read_only, egress: false}
  fail: {effect: read_only, egress: false}
"""


def add(a: int, b: int = 1) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


async def fail() -> str:
    """Always fail."""
    raise ValueError("no luck")


def unapproved() -> str:
    """Nobody approved it."""
    return "x"


async def test_a_function_is_listed_called_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "toolward.yaml").write_text(WARD)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "python.yaml").write_text(MANIFEST)
    functions = PythonFunctions()
    for each in (add, fail, unapproved):
        functions.register(each)
    async with open_house(tmp_path, functions=functions) as house:
        await house.parts.drift.refresh("python")
        for name in ("add", "fail"):
            await house.parts.registry.approve(f"python/{name}", by=OPERATOR)
        await house.desk.reload(OPERATOR)
        async with OpenWard(house).session(user="ana", agent="a", prompt="add 4 and 38") as session:
            assert [t["name"] for t in await session.list_tools()] == ["python__add", "python__fail"]
            result = await session.call("python/add", a=4, b=38)
            assert result.structured == {"sum": 42}
            assert result.receipt["index"] == house.store.size() - 1
            with pytest.raises(BadArguments):
                await session.call("python/add", a="four")
            with pytest.raises(UnknownTool):
                await session.call("python/nothing")
            with pytest.raises(Denied, match="not approved"):
                await session.call("python/unapproved")


def test_a_function_without_annotations_can_not_be_a_tool() -> None:
    def bare(x):  # type: ignore[no-untyped-def]
        return x

    with pytest.raises(WardError, match="no plain annotation"):
        PythonFunctions().register(bare)


def test_the_error_families_are_told_apart() -> None:
    assert not issubclass(ToolFailed, Denied)
