"""One key, one effect: under a hundred retries, crashes, time-outs and other people's keys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.harness import (
    AGENT,
    MANIFESTS,
    WARD,
    World,
    code_of,
    default_tools,
    open_world,
    text_result,
    tool,
    write_ward,
)

from toolward.adapters.stores.memory import MemoryStore
from toolward.adapters.system.clock import VirtualClock
from toolward.adapters.system.ids import CountingIds
from toolward.errors import WardError
from toolward.kernel.attempt import IDEMPOTENCY_META
from toolward.model.call import Action, Failed, Intent, RawOutcome, Returned, Stopped
from toolward.model.permit import Permit
from toolward.model.principal import Principal
from toolward.ports.upstream import Exchange

WRITE = ("files/write", {"path": "/data/a", "text": "x"})
OTHER = ("files/write", {"path": "/data/a", "text": "y"})
PROBED = """\
server: files
tools:
  read: {effect: read_only, egress: false}
  write:
    effect: reversible
    egress: false
    arguments: {path: {role: authority, kind: path}, text: {role: content}}
    undo:
      probe: {tool: is_there, arguments: {path: /input/path, text: /input/text}}
      compensate: {tool: write, arguments: {path: /input/path, text: {value: ""}}, window_s: 3600}
  is_there: {effect: read_only, egress: false}
"""


def probed() -> dict[str, str]:
    return {"toolward.yaml": WARD, "tools/files.yaml": PROBED, "tools/mail.yaml": MANIFESTS["mail"]}


def probed_tools() -> dict[str, list[dict[str, Any]]]:
    tools = default_tools()
    tools["files"] = [tool("read", "path"), tool("write", "path", "text"), tool("is_there", "path", "text")]
    return tools


class Ledger:
    """A server that counts its own effects and answers when it is let."""

    def __init__(self, world: World, *, held: bool = False, outcome: RawOutcome | None = None) -> None:
        self.effects: list[Mapping[str, Any]] = []
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        self.outcome = outcome
        if not held:
            self.opened.set()
        world.upstreams.answers["files/write"] = self.write

    async def write(self, permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del intent, exchange
        self.effects.append(permit.labelled.call.arguments)
        self.reached.set()
        await self.opened.wait()
        if self.outcome is not None:
            return self.outcome
        return Returned(result=text_result(f"written {len(self.effects)}"), size_bytes=1)


async def test_a_hundred_retries_at_once_make_one_effect_and_get_one_result(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world, held=True), await world.session()
        calls = [asyncio.create_task(world.call(session, *WRITE, once="k1")) for _ in range(100)]
        await ledger.reached.wait()
        ledger.opened.set()
        replies = await asyncio.gather(*calls)
        assert len(ledger.effects) == 1
        assert [reply.result for reply in replies] == [text_result("written 1")] * 100
        assert len(world.records("call.intent")) == 1
        replayed = world.records("call.replayed")
        assert len(replayed) == 99
        assert {record["of"] for record in replayed} == {world.records("call.intent")[0]["call_id"]}
        assert all(reply.receipt for reply in replies), "each reply proves its own record"


async def test_without_a_key_each_call_is_its_own(tmp_path: Path) -> None:
    """The control: the same calls, and nothing that ties them together."""
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world), await world.session()
        await asyncio.gather(*(world.call(session, *WRITE) for _ in range(10)))
        assert len(ledger.effects) == 10


async def test_a_key_with_other_arguments_is_refused_while_it_runs_and_after(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world, held=True), await world.session()
        first = asyncio.create_task(world.call(session, *WRITE, once="k1"))
        await ledger.reached.wait()
        assert code_of(await world.call(session, *OTHER, once="k1")) == "key_reused"
        ledger.opened.set()
        assert (await first).error is None
        assert code_of(await world.call(session, *OTHER, once="k1")) == "key_reused"
        assert (await world.call(session, *OTHER, once="k2")).error is None
        assert len(ledger.effects) == 2


async def test_a_key_is_the_callers_and_the_tools_own(tmp_path: Path) -> None:
    """Nobody learns or blocks another's key: not another user, agent or credential."""
    async with open_world(tmp_path) as world:
        ledger = Ledger(world)
        for changed in ({}, {"user": "bob"}, {"agent": "other"}, {"credential": "key-2"}):
            said = {
                "user": AGENT.user,
                "agent": AGENT.agent,
                "credential": AGENT.credential,
                "kind": AGENT.kind,
            }
            principal = Principal(**{**said, **changed})  # type: ignore[arg-type]
            session = await world.session(principal)
            reply = await world.call(session, *WRITE, principal=principal, once="k1")
            assert reply.error is None
        assert len(ledger.effects) == 4
        session = await world.session()
        mail = await world.call(session, "mail/fetch", {"url": "https://example.org"}, once="k1")
        assert mail.error is None, "the same word with another tool is another key"


async def test_a_retry_that_waits_too_long_is_told_that_it_is_in_progress(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world, held=True), await world.session()
        world.house.parts.safeguards.once.wait_s = 0.01
        first = asyncio.create_task(world.call(session, *WRITE, once="k1"))
        await ledger.reached.wait()
        late = await world.call(session, *WRITE, once="k1")
        assert code_of(late) == "in_progress"
        assert late.error is not None
        assert late.error.data["details"] == {"retry_after_s": "5"}
        ledger.opened.set()
        assert (await first).error is None
        assert (await world.call(session, *WRITE, once="k1")).result == text_result("written 1")


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    async with open_world(tmp_path, store=store) as world:
        Ledger(world)
        assert (await world.call(await world.session(), *WRITE, once="k1")).error is None
    async with open_world(tmp_path, store=store, approved=False) as world:
        ledger, session = Ledger(world), await world.session()
        assert (await world.call(session, *WRITE, once="k1")).result == text_result("written 1")
        assert ledger.effects == []
        assert code_of(await world.call(session, *OTHER, once="k1")) == "key_reused"


async def test_a_result_that_came_to_one_session_taints_the_other_that_gets_it_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        Ledger(world)
        await world.call(await world.session(), *WRITE, once="k1")
        other = await world.session()
        await world.call(other, *WRITE, once="k1")
        after = world.house.parts.sessions.current(other)
        assert after is not None
        assert after.taint.as_json() == {"integrity": "untrusted", "confidentiality": "internal"}


async def test_what_was_refused_before_it_ran_leaves_the_key_free(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        unreached = Failed(code=-32000, message="away", reason="tool_unreachable", from_server=False)
        ledger = Ledger(world, outcome=unreached)
        assert (await world.call(session, *WRITE, once="k1")).error is not None
        ledger.outcome = None
        assert (await world.call(session, *WRITE, once="k1")).result == text_result("written 2")


async def test_an_error_of_the_server_is_the_result_of_that_key(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        ledger = Ledger(world, outcome=Failed(code=-32050, message="no room", reason="tool_failed"))
        first = await world.call(session, *WRITE, once="k1")
        ledger.outcome = None
        assert (await world.call(session, *WRITE, once="k1")).error == first.error
        assert len(ledger.effects) == 1


async def test_past_the_undo_window_the_key_is_spent_and_nothing_runs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world), await world.session()
        await world.call(session, *WRITE, once="k1")
        world.clock.advance(29 * 86_400)
        await world.house.parts.drift.refresh("files")
        assert (await world.call(session, *WRITE, once="k1")).result == text_result("written 1")
        world.clock.advance(2 * 86_400)
        assert code_of(await world.call(session, *WRITE, once="k1")) == "key_reused"
        assert len(ledger.effects) == 1


async def test_an_erased_result_is_not_made_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world), await world.session()
        await world.call(session, *WRITE, once="k1")
        (outcome,) = world.store.find(kind="call.outcome")
        await world.store.shred(outcome.index)
        assert code_of(await world.call(session, *WRITE, once="k1")) == "key_reused"
        assert len(ledger.effects) == 1


@pytest.mark.parametrize("point", [1, 2, 3])
async def test_a_crash_at_any_commit_never_doubles_the_effect(tmp_path: Path, point: int) -> None:
    """Points: the claim with its intent, the outcome, and one past the end as the control."""
    store = MemoryStore(clock=VirtualClock(), ids=CountingIds())
    effects = 0
    async with open_world(tmp_path, store=store) as world:
        ledger, session = Ledger(world), await world.session()
        store.fail_at = frozenset({store.commits + point})
        reply = await world.call(session, *WRITE, once="k1")
        assert (reply.error is None) is (point == 3)
        store.fail_at = frozenset()
        effects += len(ledger.effects)
    store.restart()
    async with open_world(tmp_path, store=store, approved=False) as world:
        ledger, session = Ledger(world), await world.session()
        again = await world.call(session, *WRITE, once="k1")
        effects += len(ledger.effects)
        assert effects == 1
        if point == 2:
            assert code_of(again) == "unknown_outcome"
            assert again.error is not None
            assert "new idempotency key" in again.error.data["remedy"]


@pytest.mark.parametrize(("said", "effects"), [("true", 1), ("false", 2), ("no idea", 1)])
async def test_an_unknown_outcome_is_looked_into_where_the_manifest_says_how(
    tmp_path: Path, said: str, effects: int
) -> None:
    write_ward(tmp_path, probed())
    async with open_world(tmp_path, tools=probed_tools()) as world:
        session = await world.session()
        ledger = Ledger(world, outcome=Stopped(reason="timed_out", message="no answer in time"))
        first = await world.call(session, *WRITE, once="k1")
        assert code_of(first) == "timed_out"
        ledger.outcome = None
        world.upstreams.answers["files/is_there"] = said
        replies = await asyncio.gather(*(world.call(session, *WRITE, once="k1") for _ in range(5)))
        assert len(ledger.effects) == effects
        probes = [ran for ran in world.upstreams.ran if ran[0] == "files/is_there"]
        assert probes[0][1] == {"path": "/data/a", "text": "x"}
        (verdict,) = {record["answer"] for record in world.records("call.probed")}
        if said == "false":
            assert verdict == "no"
            assert {reply.result["content"][0]["text"] for reply in replies if reply.result} == {"written 2"}
        else:
            assert {code_of(reply) for reply in replies} == {"unknown_outcome"}
            happened = "yes" if said == "true" else "unknown"
            assert all(r.error and r.error.data["details"]["happened"] == happened for r in replies)


async def test_a_probe_is_a_call_of_the_gateways_own_and_taints_no_agent(tmp_path: Path) -> None:
    write_ward(tmp_path, probed())
    async with open_world(tmp_path, tools=probed_tools()) as world:
        session = await world.session()
        Ledger(world, outcome=Stopped(reason="timed_out", message="no answer"))
        world.upstreams.answers["files/is_there"] = "true"
        await world.call(session, *WRITE, once="k1")
        await world.call(session, *WRITE, once="k1")
        (probe,) = [r for r in world.records("call.merged") if r["tool"] == "files/is_there"]
        assert probe["principal"]["agent"] == "toolward-undo"
        assert probe["session_id"] != session


async def test_a_ward_whose_probe_would_write_is_not_opened(tmp_path: Path) -> None:
    files = probed()
    files["tools/files.yaml"] = files["tools/files.yaml"].replace(
        "is_there: {effect: read_only, egress: false}", "is_there: {effect: reversible, egress: false}"
    )
    write_ward(tmp_path, files)
    with pytest.raises(WardError, match="reading tool"):
        async with open_world(tmp_path, tools=probed_tools()):
            pass


@pytest.mark.parametrize("key", ["", "x" * 256, 7, None, ["k"]])
async def test_a_key_is_a_text_of_at_most_255_characters(tmp_path: Path, key: Any) -> None:
    async with open_world(tmp_path) as world:
        params = {"name": "write", "arguments": WRITE[1], "_meta": {IDEMPOTENCY_META: key}}
        reply = await world.perform(await world.session(), Action.CALL_TOOL, params, server="files")
        assert code_of(reply) == "malformed"
        params["_meta"] = {IDEMPOTENCY_META: "x" * 255}
        assert (await world.perform(await world.session(), Action.CALL_TOOL, params, server="files")).result


async def test_a_read_with_a_key_is_kept_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        for _ in range(3):
            assert (await world.call(session, "files/read", {"path": "/data/a"}, once="r")).error is None
        assert [ran[0] for ran in world.upstreams.ran] == ["files/read"]


async def test_a_caller_that_hangs_up_leaves_its_key_to_be_looked_into(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        ledger, session = Ledger(world, held=True), await world.session()
        first = asyncio.create_task(world.call(session, *WRITE, once="k1"))
        await ledger.reached.wait()
        waiting = asyncio.create_task(world.call(session, *WRITE, once="k1"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert code_of(await waiting) == "unknown_outcome"
        assert len(ledger.effects) == 1
