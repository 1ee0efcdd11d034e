"""The session's history as facts for policy: rules over it hold for calls at once and after a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness import MANIFESTS, code_of, open_world, tool
from toolward.adapters.stores.memory import MemoryStore

BANK = """\
server: mail
tools:
  send: {effect: reversible, egress: true, result: {integrity: trusted}, clearance: confidential, arguments: {to: {role: authority, kind: address}, text: {role: content}}}
  fetch: {effect: read_only, egress: true, arguments: {url: {role: authority, kind: url}}}
  pay: {effect: reversible, egress: false, result: {integrity: trusted}, arguments: {to: {role: authority}, amount: {role: authority, kind: amount}}}
"""
PAY = {
    "name": "pay",
    "inputSchema": {
        "type": "object",
        "properties": {"to": {"type": "string"}, "amount": {"type": ["number", "string"]}},
    },
}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "files": [tool("read", "path"), tool("read_secret"), tool("write", "path", "text")],
    "mail": [tool("send", "to", "text"), tool("fetch", "url"), PAY],
}


def rule(condition: str, action: str = "mail/pay") -> dict[str, str]:
    return {
        "tools/mail.yaml": BANK,
        "tools/files.yaml": MANIFESTS["files"],
        "policies/history.cedar": f"""
@id("history") @reason("too much")
forbid (principal, action in Toolward::Action::"call", resource == Toolward::Tool::"{action}") when {{ {condition} }};
""",
    }


AMOUNT = 'context.session.amount.greaterThan(decimal("100.0"))'


async def outcomes(world: Any, session: str, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    found = []
    for key, arguments in calls:
        reply = await world.call(session, key, arguments)
        found.append("ran" if reply.error is None else code_of(reply))
    return found


def pay(amount: float | str, to: str = "ann") -> tuple[str, dict[str, Any]]:
    return "mail/pay", {"to": to, "amount": amount}


async def test_amounts_are_summed_and_this_calls_own_is_in_the_sum(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=rule(AMOUNT), tools=TOOLS) as world:
        session = await world.session()
        assert await outcomes(world, session, pay(60), pay("39.5"), pay(1), pay(0.5)) == [
            "ran",
            "ran",
            "denied",
            "ran",
        ]


async def test_without_the_rule_all_of_it_is_paid(tmp_path: Path) -> None:
    """The control."""
    async with open_world(tmp_path, files=rule("false"), tools=TOOLS) as world:
        session = await world.session()
        assert await outcomes(world, session, pay(60), pay("39.5"), pay(1_000)) == ["ran"] * 3


async def test_a_refund_makes_no_room_for_a_payment(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=rule(AMOUNT), tools=TOOLS) as world:
        session = await world.session()
        assert await outcomes(world, session, pay(60), pay(-39), pay(20)) == ["ran", "ran", "denied"]


@pytest.mark.parametrize("amount", ["ten", "1e400", "0.00001", "NaN"])
async def test_an_amount_that_is_no_number_is_refused_where_a_rule_looks_at_amounts(
    tmp_path: Path, amount: str
) -> None:
    async with open_world(tmp_path, files=rule(AMOUNT), tools=TOOLS) as world:
        assert await outcomes(world, await world.session(), pay(amount)) == ["number_out_of_range"]


async def test_amounts_at_once_do_not_pass_a_bound_together(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=rule(AMOUNT), tools=TOOLS) as world:
        session = await world.session()
        replies = await asyncio.gather(*(world.call(session, *pay(30, f"p{n}")) for n in range(10)))
        assert Counter("ran" if each.error is None else code_of(each) for each in replies) == {
            "ran": 3,
            "denied": 7,
        }


async def test_a_restart_forgets_nothing_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path, files=rule(AMOUNT), tools=TOOLS) as world:
        session = await world.session()
        calls = (
            pay(60),
            ("files/read", {"path": "/data/a"}),
            ("files/read_secret", {}),
            ("files/write", {"path": "/data/a", "text": "x"}),
            ("mail/send", {"to": "ann@example.org", "text": "x"}),
            ("mail/send", {"to": "olga@example.org, ann@example.org", "text": "x"}),
            pay(50),
        )
        await outcomes(world, session, *calls)
        world.clock.advance(5)
        before = world.house.parts.sessions.histories.of(session)
        store: MemoryStore = world.store
    async with open_world(tmp_path, store=store, clock=world.clock, tools=TOOLS) as again:
        after = again.house.parts.sessions.histories.of(session)
        assert after is not before
        assert (after.tools, after.amount, after.places, after.labels, after.version, after.in_flight) == (
            before.tools,
            before.amount,
            before.places,
            before.labels,
            before.version,
            0,
        )
        assert before.tools["files/read_secret"] == before.tools["mail/pay"] == 1
        assert abs(after.untrusted_ns - before.untrusted_ns) < 1_000_000
        assert await outcomes(again, session, pay(50)) == ["denied"]


async def test_a_tool_is_counted_by_itself(tmp_path: Path) -> None:
    files = rule("context.session.tool_calls >= 2")
    async with open_world(tmp_path, files=files, tools=TOOLS) as world:
        session = await world.session()
        reads: list[tuple[str, dict[str, Any]]] = [("files/read_secret", {})] * 4
        assert await outcomes(world, session, *reads, pay(1), pay(1), pay(1)) == ["ran"] * 6 + ["denied"]


async def test_a_rule_can_ask_which_tools_were_called(tmp_path: Path) -> None:
    files = rule('!context.session.tools.contains("files/read")')
    async with open_world(tmp_path, files=files, tools=TOOLS) as world:
        session = await world.session()
        calls = pay(1), ("files/read", {"path": "/data/a"}), pay(1)
        found = await outcomes(world, session, *calls)
        assert found[0] == "denied"
        assert found[1] == "ran"
        assert found[2] != "denied"


async def test_distinct_destinations_are_counted_with_those_of_this_call(tmp_path: Path) -> None:
    files = rule("context.session.destinations > 2", "mail/send")
    async with open_world(tmp_path, files=files, tools=TOOLS) as world:
        session = await world.session()
        sends = [
            ("mail/send", {"to": to, "text": "x"})
            for to in ("a@x.org", "A@x.org ", "b@x.org", "c@x.org", "a@x.org")
        ]
        assert await outcomes(world, session, *sends) == ["ran", "ran", "ran", "denied", "ran"]


async def test_labels_read_and_the_time_since(tmp_path: Path) -> None:
    condition = (
        'context.session.labels_read.contains("untrusted") && context.session has since_untrusted_s'
        " && context.session.since_untrusted_s < 60"
    )
    async with open_world(tmp_path, files=rule(condition, "files/read_secret"), tools=TOOLS) as world:
        session = await world.session()
        assert await outcomes(world, session, ("files/read_secret", {})) == ["ran"]
        assert await outcomes(world, session, ("files/read", {"path": "/data/a"})) == ["ran"]
        assert await outcomes(world, session, ("files/read_secret", {})) == ["denied"]
        world.clock.advance(61)
        assert await outcomes(world, session, ("files/read_secret", {})) == ["ran"]


async def test_the_first_call_has_no_call_before_it(tmp_path: Path) -> None:
    files = rule("context.session has since_call_s && context.session.since_call_s < 10")
    async with open_world(tmp_path, files=files, tools=TOOLS) as world:
        session = await world.session()
        assert await outcomes(world, session, pay(1), pay(1)) == ["ran", "denied"]
        world.clock.advance(11)
        assert await outcomes(world, session, pay(1)) == ["ran"]


async def test_calls_in_flight_are_known_and_no_longer_once_they_are_answered(tmp_path: Path) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()

    async def wait(*_: object) -> Any:
        from toolward.model.call import Returned

        reached.set()
        await gate.wait()
        return Returned(result={"content": []}, size_bytes=1)

    files = rule("context.session.in_flight >= 1")
    async with open_world(tmp_path, files=files, tools=TOOLS, answers={"files/read": wait}) as world:
        session = await world.session()
        reading = asyncio.ensure_future(world.call(session, "files/read", {"path": "/data/a"}))
        await reached.wait()
        assert await outcomes(world, session, pay(1)) == ["denied"]
        gate.set()
        assert (await reading).error is None
        assert world.house.parts.sessions.histories.of(session).in_flight == 0
        reply = await world.call(session, *pay(1))
        assert reply.error is None or code_of(reply) != "denied"
