"""A tool or server that fails: what its callers are told, what is written down, and who notices nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from tests.builders import FakeExchange
from tests.harness import (
    AGENT,
    MANIFESTS,
    OPERATOR,
    WARD,
    World,
    code_of,
    default_tools,
    open_world,
    text_result,
)
from tests.harness import tool as define

from toolward.adapters.identity.keys import credential_body, credential_key
from toolward.errors import ReasonCode, ToolFailed
from toolward.governance.desk import invoke
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Failed, Intent, RawOutcome, Reply, Returned, Stopped
from toolward.model.permit import Permit
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.store import Put, Table
from toolward.ports.upstream import Exchange, ServerDescription

READ = ("files/read", {"path": "/data/a"})
WRITE = ("files/write", {"path": "/data/a", "text": "x"})
DONE = Returned(result=text_result("done"), size_bytes=4)
LOST = Stopped(reason=ReasonCode.UNKNOWN_OUTCOME.value, message="the server ended")
LATE = Stopped(reason=ReasonCode.TIMED_OUT.value, message="no answer within 1 ms")
AWAY = ReasonCode.TOOL_UNREACHABLE.value
UNREACHED = Failed(code=-32000, message="gone", reason=AWAY, data={"code": AWAY}, from_server=False)
BOB = Principal(user="bob", agent="other", credential="key-2", kind=CredentialKind.API_KEY)


class Tool:
    """Answers as it is told, and counts how often it is asked."""

    def __init__(self, outcome: RawOutcome) -> None:
        self.outcome = outcome
        self.asked = 0
        self.before: Callable[[], Any] = lambda: None

    async def __call__(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del permit, intent, exchange
        self.asked += 1
        if (work := self.before()) is not None:
            await work
        return self.outcome


def tools_yaml(**own: str) -> dict[str, str]:
    """The harness's ward, with `resilience` of tools of `files` in its manifest."""
    manifest = MANIFESTS["files"]
    for name, said in own.items():
        manifest = manifest.replace(f"  {name}: {{", f"  {name}: {{resilience: {said}, ")
    return {"tools/files.yaml": manifest}


def held() -> tuple[asyncio.Event, Tool]:
    """A tool that answers once the gate is open."""
    gate, tool = asyncio.Event(), Tool(DONE)
    tool.before = gate.wait
    return gate, tool


async def fail(world: World, session: str, times: int, call: Any = WRITE, **more: Any) -> list[str]:
    return [code_of(await world.call(session, *call, **more)) for _ in range(times)]


async def written(world: World) -> None:
    """What is told beside the calls is on record."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_tool_that_fails_five_times_is_not_asked_again_until_a_call_on_trial_goes_well(
    tmp_path: Path,
) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        session = await world.session()
        assert await fail(world, session, 5) == ["timed_out"] * 5
        refused = await world.call(session, *WRITE)
        assert (code_of(refused), tool.asked) == ("circuit_open", 5)
        assert refused.error is not None
        assert refused.error.data["details"] == {
            "retry_after_s": "31",  # some longer, so that not all gateways come back at once
            "circuit": "files/write",
            "tool": "files/write",
        }
        assert world.records("call.denied")[-1]["reason"]["code"] == "circuit_open"
        assert (await world.call(session, *READ)).result == text_result("done")  # the server's other tools
        world.clock.advance(34)
        assert await fail(world, session, 2) == ["timed_out", "circuit_open"]
        world.clock.advance(67)
        tool.outcome = DONE
        assert (await world.call(session, *WRITE)).error is None
        assert (await world.call(session, *WRITE)).error is None
        assert tool.asked == 8


async def test_opening_and_closing_are_on_record_with_an_incident_that_is_restored(tmp_path: Path) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        session = await world.session()
        await fail(world, session, 5)
        await written(world)
        (opened,) = world.records("circuit.opened")
        assert (opened["circuit"], opened["whom"], opened["open_s"]) == ("files/write", "key-1", 30)
        (incident,) = world.house.parts.incidents.all()
        assert (incident.kind.value, incident.restored_ns) == ("circuit", 0)
        world.clock.advance(34)
        await fail(world, session, 1)
        await written(world)
        assert len(world.records("circuit.opened")) == 2
        assert len(world.house.parts.incidents.all()) == 1  # the same goes on
        world.clock.advance(67)
        tool.outcome = DONE
        await world.call(session, *WRITE)
        await written(world)
        assert [each["circuit"] for each in world.records("circuit.closed")] == ["files/write"]
        assert world.house.parts.incidents.all()[0].restored_ns


async def test_circuits_do_not_outlive_the_process_nor_do_their_incidents(tmp_path: Path) -> None:
    async with open_world(tmp_path, answers={"files/write": Tool(LATE)}) as world:
        await fail(world, await world.session(), 5)
        await written(world)
    async with open_world(tmp_path, store=world.store) as again:
        assert [bool(each.restored_ns) for each in again.house.parts.incidents.all()] == [True]
        assert (await again.call(await again.session(), *WRITE)).error is None


async def other_caller(world: World) -> str:
    body = credential_body(name="key-2", user="bob", agent="other", kind=CredentialKind.API_KEY)
    await world.store.commit([], [Put(Table.CREDENTIAL, credential_key("key-2"), body)])
    return await world.session(BOB)


async def test_one_callers_failing_calls_take_the_tool_from_nobody_else(tmp_path: Path) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        mine, others = await world.session(), await other_caller(world)
        assert (await fail(world, mine, 20))[-1] == "circuit_open"
        tool.outcome = DONE
        assert (await world.call(others, *WRITE, principal=BOB)).error is None


async def test_what_fails_for_several_callers_is_kept_from_all(tmp_path: Path) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        mine, others = await world.session(), await other_caller(world)
        await fail(world, mine, 3)
        assert await fail(world, others, 3, principal=BOB) == ["timed_out", "timed_out", "circuit_open"]
        assert await fail(world, mine, 1) == ["circuit_open"]
        await written(world)
        assert [each["whom"] for each in world.records("circuit.opened")] == [""]


async def test_a_server_whose_link_fails_is_stepped_back_from_with_all_its_tools(tmp_path: Path) -> None:
    async with open_world(tmp_path, answers={"files/write": Tool(LOST)}) as world:
        session = await world.session()
        await fail(world, session, 5)
        assert code_of(await world.call(session, *READ)) == "circuit_open"
        listed = await world.perform(session, Action.LIST_TOOLS, {}, server="files")
        assert listed.result is not None  # what there is, is known without asking
        assert len(listed.result["tools"]) == 4
        assert (await world.call(session, "mail/fetch", {"url": "https://example.org"})).error is None


async def test_what_undoes_an_effect_is_let_through_an_open_circuit(tmp_path: Path) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        session = await world.session()
        await fail(world, session, 6)
        attempt = Attempt(
            principal=AGENT,
            session_id=session,
            action=Action.CALL_TOOL,
            params={"name": "write", "arguments": WRITE[1]},
            server="files",
            undo_of="an earlier call",
        )
        reply = await world.house.gateway.perform(attempt, FakeExchange())
        assert (code_of(reply), tool.asked) == ("timed_out", 6)


async def test_a_refused_call_uses_no_key_up_and_never_ran(tmp_path: Path) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        session = await world.session()
        await fail(world, session, 5)
        assert await fail(world, session, 1, once="k") == ["circuit_open"]
        world.clock.advance(34)
        tool.outcome = DONE
        assert (await world.call(session, *WRITE, once="k")).error is None


async def test_a_tool_that_only_reads_is_asked_again_once_and_the_record_says_so(tmp_path: Path) -> None:
    tool = Tool(UNREACHED)
    async with open_world(tmp_path, answers={"files/read": tool}) as world:
        session = await world.session()

        def mend() -> None:
            tool.outcome = UNREACHED if tool.asked == 1 else DONE

        tool.before = mend
        assert (await world.call(session, *READ)).error is None
        assert (tool.asked, world.records("call.merged")[-1]["retries"]) == (2, 1)


async def test_a_write_is_not_sent_again_whatever_happened(tmp_path: Path) -> None:
    for outcome in (UNREACHED, LOST, LATE):
        tool = Tool(outcome)
        async with open_world(tmp_path / outcome.reason, answers={"files/write": tool}) as world:
            await world.call(await world.session(), *WRITE)
            assert tool.asked == 1
            assert "retries" not in world.records("call.outcome")[-1]


async def test_retries_of_a_server_that_is_away_stay_a_fraction_of_its_calls(tmp_path: Path) -> None:
    tool = Tool(UNREACHED)
    files = {"toolward.yaml": WARD + "resilience: {failures: 20, failed_percent: 100}\n"}
    async with open_world(tmp_path, files=files, answers={"files/read": tool}) as world:
        session = await world.session()
        await fail(world, session, 10, READ)
        assert tool.asked == 10 + 3 + 10 * 20 // 100


async def test_calls_past_a_tools_places_wait_and_those_past_the_queue_are_told_at_once(
    tmp_path: Path,
) -> None:
    gate, tool = held()
    files = tools_yaml(read="{in_flight: 1, queue: 1}")
    async with open_world(tmp_path, files=files, answers={"files/read": tool}) as world:
        world.house.parts.resilience._queue._clock = Standing()  # type: ignore[assignment]
        session = await world.session()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.call(session, *READ))
            waiting = group.create_task(asked_after(world, session, lambda: tool.asked == 1))
            full = await asked_after(
                world,
                session,
                lambda: any(each.get("waiting") for each in world.house.parts.resilience.shown()),
            )
            assert (code_of(full), tool.asked) == ("overloaded", 1)
            assert full.error is not None
            assert full.error.data["details"]["retry_after_s"] == "2"
            other = await world.call(session, *WRITE)  # another tool of the same server
            assert other.error is None
            gate.set()
        assert (running.result().error, waiting.result().error) == (None, None)


async def test_a_call_that_finds_no_place_costs_no_intent(tmp_path: Path) -> None:
    gate, tool = held()
    files = tools_yaml(write="{in_flight: 1, queue: 1}")
    async with open_world(tmp_path, files=files, answers={"files/write": tool}) as world:
        resilience = world.house.parts.resilience
        resilience._queue._clock = Standing()  # type: ignore[assignment]
        session = await world.session()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(world.call(session, *WRITE)) for _ in range(2)]
            await until(lambda: any(each.get("waiting") for each in resilience.shown()))
            before = Counter(each["kind"] for each in world.records())
            full = await world.call(session, *WRITE)
            after = Counter(each["kind"] for each in world.records())
            assert (code_of(full), after - before) == ("overloaded", Counter({"call.denied": 1}))
            kept = world.house.parts.sessions.current(session)
            assert kept is not None
            assert world.house.parts.sessions.judged(kept).written == 2, "it counts as no call of the session"
            gate.set()
        assert [each.result().error for each in calls] == [None, None]
        assert (await world.call(session, *WRITE)).error is None


class Standing:
    """A clock on which nobody's time is ever over."""

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.Event().wait()


async def asked_after(world: World, session: str, when: Callable[[], bool]) -> Reply:
    await until(when)
    return await world.call(session, *READ)


async def test_a_call_that_waited_too_long_for_a_place_is_told_and_never_ran(tmp_path: Path) -> None:
    gate, tool = held()
    files = tools_yaml(read="{in_flight: 1, queue_wait_ms: 50}")
    async with open_world(tmp_path, files=files, answers={"files/read": tool}) as world:
        session = await world.session()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.call(session, *READ))
            late = await asked_after(world, session, lambda: tool.asked == 1)  # the clock moves by itself
            assert (code_of(late), tool.asked) == ("overloaded", 1)
            assert world.records("call.merged")[-1]["never_ran"] is True
            gate.set()
        assert running.result().error is None


async def test_a_call_whose_caller_goes_while_it_waits_never_ran(tmp_path: Path) -> None:
    gate, tool = held()
    files = tools_yaml(write="{in_flight: 1}")
    async with open_world(tmp_path, files=files, answers={"files/write": tool}) as world:
        world.house.parts.resilience._queue._clock = Standing()  # type: ignore[assignment]
        session = await world.session()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.call(session, *WRITE))
            waiting = group.create_task(world.call(session, *WRITE))
            await until(lambda: any(row.get("waiting") for row in world.house.parts.resilience.shown()))
            waiting.cancel()
            await asyncio.wait((waiting,))
            gate.set()
        assert (waiting.cancelled(), running.result().error, tool.asked) == (True, None, 1)
        gone = next(each for each in world.records("call.outcome") if each["status"] == "failed")
        assert gone["never_ran"] is True


async def until(when: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if when():
            return
        await asyncio.sleep(0)
    raise AssertionError("what was waited for did not happen")


FALLBACK = """\
server: mail
tools:
  read: {effect: read_only, egress: false}
  send: {effect: irreversible, egress: true}
  fetch: {effect: read_only, egress: true}
"""


async def with_fallback(tmp_path: Path, other: str) -> tuple[Reply, World, Tool]:
    """`files/read` fails until its circuit is open, with `other` as its fallback; one more call of it."""
    tool = Tool(LATE)
    tools = default_tools()
    tools["mail"].append(define("read", "path"))
    files = tools_yaml(read=f"{{fallback: {other}}}") | {"tools/mail.yaml": FALLBACK}
    async with open_world(tmp_path, files=files, tools=tools, answers={"files/read": tool}) as world:
        session = await world.session()
        await fail(world, session, 5, READ)
        return await world.call(session, *READ), world, tool


async def test_a_declared_fallback_that_reads_the_same_is_asked_and_says_for_whom_it_stands_in(
    tmp_path: Path,
) -> None:
    reply, world, _ = await with_fallback(tmp_path, "mail/read")
    assert reply.result == text_result("done")
    assert reply.receipt is not None
    assert reply.receipt["standsInFor"] == "files/read"
    refused, stood = world.records("call.denied")[-1], world.records("call.merged")[-1]
    assert (refused["reason"]["code"], refused["target"]) == ("circuit_open", "read")
    assert (stood["tool"], stood["stands_in_for"]) == ("mail/read", "files/read")


async def test_a_fallback_that_carries_more_out_is_only_named(tmp_path: Path) -> None:
    reply, world, _ = await with_fallback(tmp_path, "mail/fetch")
    assert code_of(reply) == "circuit_open"
    assert reply.error is not None
    assert reply.error.data["details"]["fallback"] == "mail/fetch"
    assert Counter(key for key, _, _ in world.upstreams.ran)["mail/fetch"] == 0


async def test_callers_who_wait_for_a_server_that_hangs_share_one_failure(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        described, hanging = 0, asyncio.Event()

        async def hang(server: str) -> ServerDescription:
            nonlocal described
            described += 1
            await hanging.wait()
            raise ToolFailed(f"`{server}` did not answer in time", code=ReasonCode.TOOL_UNREACHABLE)

        real = world.upstreams.describe
        world.upstreams.describe = lambda s: hang(s) if s == "files" else real(s)  # type: ignore[method-assign]
        world.house.parts.drift.announce("files")
        session = await world.session()
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(world.call(session, *READ)) for _ in range(40)]
            for _ in range(50):
                await asyncio.sleep(0)
            fetched = await world.call(session, "mail/fetch", {"url": "https://example.org"})
            assert fetched.error is None
            hanging.set()
        codes = Counter(code_of(task.result()) for task in waiting)
        assert (codes, described) == (Counter(tool_unreachable=32, overloaded=8), 1)


async def test_a_person_closes_a_circuit_and_sees_what_is_there(tmp_path: Path) -> None:
    tool = Tool(LATE)
    async with open_world(tmp_path, answers={"files/write": tool}) as world:
        session = await world.session()
        await fail(world, session, 6)
        rows = {row["key"]: row for row in await invoke(world.house.desk, "circuits.list", {}, OPERATOR)}
        assert rows["files/write"]["callers"] == [
            {"caller": "key-1", "circuit": "open", "failed": 5, "of": 20, "retry_after_s": 31}
        ]
        assert (rows["files"]["retries_left"], rows["files"]["calls"]) == (4, 5)
        assert (await invoke(world.house.desk, "status", {}, OPERATOR))["open_circuits"] == 1
        done = await invoke(world.house.desk, "circuits.close", {"key": "files/write"}, OPERATOR)
        assert done["closed"] == 1
        tool.outcome = DONE
        assert (await world.call(session, *WRITE)).error is None
        assert world.records("circuit.closed")[-1]["by"] == "olga"


async def test_a_reload_puts_other_limits_in_force(tmp_path: Path) -> None:
    async with open_world(tmp_path, answers={"files/write": Tool(LATE)}) as world:
        session = await world.session()
        await fail(world, session, 1)
        (tmp_path / "toolward.yaml").write_text(WARD + "resilience: {failures: 2}\n")
        await world.house.desk.reload(AGENT)
        assert await fail(world, session, 2) == ["timed_out", "circuit_open"]


async def test_a_server_that_hangs_does_not_hold_an_aggregated_list_beyond_its_share(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("toolward.kernel.directory.SERVER_SHARE_S", 0.05)

    async def hang(*_: object) -> RawOutcome:
        await asyncio.Event().wait()
        return DONE

    async def lists(*_: object) -> RawOutcome:
        return Returned(result={"resources": [{"uri": "mail://inbox"}]}, size_bytes=9)

    answers: dict[str, Any] = {"files/resources/list": hang, "mail/resources/list": lists}
    async with open_world(tmp_path, answers=answers) as world:
        reply = await world.perform(await world.session(), Action.LIST_RESOURCES, {})
        assert reply.result == {"resources": [{"uri": "mail://inbox"}]}
        assert orjson.dumps(world.records("call.merged")).count(b'"unknown_outcome"') == 1
