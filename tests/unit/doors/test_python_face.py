"""The Python face, async and sync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import toolward
from harness import OPERATOR
from toolward import Denied, Pending, Rejected, ToolwardError, UnknownTool
from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.adapters.tools.python_functions import PythonFunctions
from toolward.bootstrap import open_house
from toolward.doors.python import OpenWard
from toolward.model.principal import CredentialKind
from toolward.ports.store import Put, Table


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


class Shop:
    """Orders that are placed and cancelled."""

    def __init__(self, folder: Path, *, on: str = "") -> None:
        self.orders: list[str] = []
        self.folder = folder
        (folder / "tools").mkdir()
        (folder / "toolward.yaml").write_text(f"version: 1\nname: face\n{on}")
        (folder / "tools" / "python.yaml").write_text("""\
server: python
tools:
  place: {effect: compensable, egress: false, result: {integrity: trusted}, undo: {compensate: {tool: cancel, arguments: {order: /input/order}}}}
  cancel: {effect: irreversible, egress: false}
""")

    def functions(self) -> list[Callable[..., None]]:
        def place(order: str) -> None:
            """Place it."""
            self.orders.append(order)

        def cancel(order: str) -> None:
            """Cancel it."""
            self.orders.remove(order)

        return [place, cancel]

    async def approve(self) -> None:
        registered = PythonFunctions()
        for function in self.functions():
            registered.register(function)
        async with open_house(self.folder, functions=registered) as house:
            await house.parts.drift.refresh("python")
            for pin in list(house.parts.registry.pins()):
                await house.parts.registry.approve(pin.key, by=OPERATOR)


def test_a_session_takes_back_what_it_did_from_a_savepoint_on(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    asyncio.run(shop.approve())
    with (
        toolward.open_sync(tmp_path, functions=shop.functions()) as ward,
        ward.session(user="ana", agent="a") as session,
    ):
        session.call("python/place", order="1")
        session.savepoint("here")
        session.call("python/place", order="2")
        assert session.rollback(to="here")["state"] == "COMPENSATED"
        assert shop.orders == ["1"]
        assert session.rollback()["residuals"] == []
    assert shop.orders == []


@pytest.mark.parametrize("on", ["", "rollback: {on: [failure]}\n"])
def test_an_error_that_leaves_the_block_takes_the_session_back_where_the_ward_says_so(
    tmp_path: Path, on: str
) -> None:
    shop = Shop(tmp_path, on=on)
    asyncio.run(shop.approve())
    with toolward.open_sync(tmp_path, functions=shop.functions()) as ward:

        def work() -> None:
            with ward.session(user="ana", agent="a") as session:
                session.call("python/place", order="1")
                raise LookupError

        with pytest.raises(LookupError):
            work()
        assert shop.orders == ([] if on else ["1"])


async def test_a_pending_call_names_its_approval_which_can_be_waited_for(tmp_path: Path) -> None:
    (tmp_path / "toolward.yaml").write_text("version: 1\nname: face\nunsafe: {}\n")
    async with toolward.open(tmp_path, functions=[add]) as ward:
        person = await a_person(ward, "ana")
        await ward.desk("refresh", person=person)
        await ward.desk("tools.approve", person=person, tools=[{"tool": "python/add"}])
        async with ward.session(user="ana", agent="a") as session:
            with pytest.raises(Pending) as pending:
                await session.call("python/add", a=1, b=2)
            assert await session.wait_for(pending.value, timeout_s=0.01) == "pending"
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(session.wait_for(pending.value.approval))
                await ward.desk("approvals.approve", person=person, approval=pending.value.approval)
            assert waiting.result() == "approved"
            assert (await session.call("python/add", a=1, b=2)).text == "3"
            assert await session.wait_for(pending.value) == "used"
        async with ward.session(user="ben", agent="a") as other:
            with pytest.raises(Rejected, match="no such approval"):
                await other.wait_for(pending.value)


async def a_person(ward: OpenWard, user: str) -> str:
    """A person's credential, as the ward's owner makes one."""
    token = "tw_face"
    body = credential_body(name="person:face", user=user, agent="face", kind=CredentialKind.PERSON)
    await ward._desk.parts.store.commit([], [Put(Table.CREDENTIAL, credential_key(token), body)])
    return token


SUM = """\
name: sum-up
purpose: add things
owner: finance
steps: [{name: add, tools: [python/add]}, {name: idle, tools: []}]
success: {tools: [python/add]}
"""


async def test_a_block_that_is_left_is_finished_and_judged(tmp_path: Path) -> None:
    (tmp_path / "objectives").mkdir()
    (tmp_path / "objectives" / "sum-up.yaml").write_text(SUM)
    (tmp_path / "toolward.yaml").write_text("version: 1\nname: face\n")
    functions = PythonFunctions()
    functions.register(add)
    async with open_house(tmp_path, functions=functions) as house:
        await house.parts.drift.refresh("python")
        _ = await house.parts.registry.approve("python/add", by=OPERATOR)
        await house.desk.repin(OPERATOR)
        ward, opening = OpenWard(house), {"user": "ana", "agent": "a", "objective": "sum-up"}
        idle = ward.session(**opening)
        session = await idle.__aenter__()
        await session.step("idle")
        assert await session.list_tools() == []
        with pytest.raises(Denied, match="python/add was not called with success"):
            await idle.__aexit__(None, None, None)
        with pytest.raises(ZeroDivisionError):
            async with ward.session(**opening):
                raise ZeroDivisionError
        async with ward.session(**opening) as session:
            assert (await session.finish()).outcome == "failed"
        with pytest.raises(Rejected, match="no objective `sum-pu` is declared"):
            async with ward.session(user="ana", agent="a", objective="sum-pu"):
                raise AssertionError
