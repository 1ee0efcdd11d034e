"""What every MCP upstream must do, on both transports and in both eras."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from builders import INTENT, FakeExchange, a_permit, a_version
from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.system.clock import SystemClock
from toolward.adapters.system.ids import SystemIds
from toolward.adapters.tools.mcp import link, probing, server
from toolward.adapters.tools.mcp.stdio import processes as stdio
from toolward.adapters.tools.mcp.upstreams import McpUpstreams
from toolward.bootstrap.cages import make_cages
from toolward.errors import GatewayError, ReasonCode, ToolFailed
from toolward.kernel.tasks import Background
from toolward.model.call import Action, Era, Failed, Returned, Stopped
from toolward.model.permit import Permit
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind
from toolward.ports.egress import EgressEvent
from toolward.ports.upstream import Exchange, UpstreamHooks

SERVERS = Path(__file__).parent.parent / "servers"
PLAIN = (sys.executable, str(SERVERS / "plain_server.py"))
HOSTILE = (sys.executable, str(SERVERS / "hostile_server.py"))
ERAS = [Era.HANDSHAKE, Era.STATELESS]


class DictSecrets:
    def __init__(self, **values: str) -> None:
        self._values = values

    def get(self, name: str) -> str:
        if name not in self._values:
            raise GatewayError(f"no secret `{name}`", code=ReasonCode.SECRET_MISSING)
        return self._values[name]

    def known_values(self) -> tuple[str, ...]:
        return tuple(self._values.values())


class Untold:
    """`ports.egress.EgressSignals` that nobody listens to."""

    async def judged(self, event: EgressEvent) -> None: ...

    def ended(self, event: EgressEvent) -> None: ...


class Events:
    def __init__(self) -> None:
        self.changed: list[str] = []
        self.heard: list[tuple[str, str, str]] = []
        self.something = asyncio.Event()

    def definitions_changed(self, server: str) -> None:
        self.changed.append(server)
        self.something.set()

    def notification(self, server: str, session_id: str, method: str, params: Mapping[str, Any]) -> None:
        self.heard.append((server, session_id, method))
        self.something.set()


@pytest.fixture(scope="module")
def http_port() -> Iterator[int]:
    child = subprocess.Popen([*PLAIN, "http"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    yield int(child.stdout.readline())
    child.terminate()
    child.wait()
    child.stdout.close()


def binding_of(transport: str, port: int, **more: Any) -> ServerBinding:
    if transport == "http":
        return ServerBinding(server="srv", kind=BindingKind.HTTP, url=f"http://127.0.0.1:{port}/mcp", **more)
    return ServerBinding(server="srv", kind=BindingKind.STDIO, command=PLAIN, arguments=("stdio",), **more)


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.hooks = UpstreamHooks()
        self.events = Events()
        self.hooks.events = self.events
        self.secrets = DictSecrets(TOKEN="s3cret-value")
        self._made: list[McpUpstreams] = []
        self.background = Background(lambda error: None)
        self.cages = make_cages(Untold(), background=self.background)

    def upstreams(self, *bindings: ServerBinding, tls: ssl.SSLContext | None = None) -> McpUpstreams:
        made = McpUpstreams(
            bindings,
            secrets=self.secrets,
            clock=SystemClock(),
            ids=SystemIds(),
            hooks=self.hooks,
            state_dir=self.tmp_path,
            connector=VettedConnector(Untold()),
            cages=self.cages,
            tls=tls,
        )
        self._made.append(made)
        return made

    async def close(self) -> None:
        for made in self._made:
            await made.close()
        await self.cages.close()
        await self.background.drain()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    async with asyncio.timeout(90):
        yield made
        await made.close()


@pytest.fixture(params=["stdio", "http"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plain(transport: str, http_port: int) -> ServerBinding:
    return binding_of(transport, http_port)


def text_of(outcome: object) -> str:
    assert isinstance(outcome, Returned), outcome
    return str(outcome.result["content"][0]["text"])


async def test_describes_a_server_with_whole_definitions(world: World, plain: ServerBinding) -> None:
    said = await world.upstreams(plain).describe("srv")
    assert Era.STATELESS in said.eras
    assert said.info["name"] == "plain"
    assert said.instructions == "be plain"
    echo = next(tool for tool in said.tools if tool["name"] == "echo")
    assert echo["inputSchema"]["properties"]["text"]["type"] == "string"


async def test_knows_both_eras_of_an_http_server(world: World, http_port: int) -> None:
    said = await world.upstreams(binding_of("http", http_port)).describe("srv")
    assert set(said.eras) == set(ERAS)


@pytest.mark.parametrize("era", ERAS)
async def test_calls_a_tool_in_the_era_of_the_caller(world: World, plain: ServerBinding, era: Era) -> None:
    upstreams = world.upstreams(plain)
    outcome = await upstreams.execute(a_permit(arguments={"text": "hi \u2028 ü"}), INTENT, FakeExchange(era))
    assert text_of(outcome) == "hi \u2028 ü"
    assert isinstance(outcome, Returned)
    assert ("resultType" in outcome.result) == (era is Era.STATELESS)


@pytest.mark.parametrize("era", ERAS)
async def test_progress_reaches_the_caller_under_its_own_token(
    world: World, plain: ServerBinding, era: Era
) -> None:
    exchange = FakeExchange(era)
    permit = a_permit(name="steps", meta={"progressToken": "mine"})
    outcome = await world.upstreams(plain).execute(permit, INTENT, exchange)
    assert text_of(outcome) == "done"
    assert [(m, p["progressToken"], p["message"]) for m, p in exchange.heard] == [
        ("notifications/progress", "mine", "one"),
        ("notifications/progress", "mine", "two"),
    ]


async def test_a_question_of_the_server_goes_through_the_kernel(world: World, plain: ServerBinding) -> None:
    asked: list[str] = []

    async def on_request(
        permit: Permit, method: str, params: Mapping[str, Any], exchange: Exchange
    ) -> Mapping[str, Any]:
        asked.append(method)
        return {"action": "accept", "content": {"name": "bob"}}

    world.hooks.on_request = on_request
    upstreams = world.upstreams(dataclasses.replace(plain, accepts=("elicitation",)))
    exchange = FakeExchange(Era.HANDSHAKE, {"elicitation": {}})
    outcome = await upstreams.execute(a_permit(name="ask"), INTENT, exchange)
    assert text_of(outcome) == "accept bob"
    assert asked == ["elicitation/create"]


async def test_a_capability_that_the_operator_does_not_accept_is_not_declared(
    world: World, plain: ServerBinding
) -> None:
    exchange = FakeExchange(Era.HANDSHAKE, {"elicitation": {}, "sampling": {}})
    outcome = await world.upstreams(plain).execute(a_permit(name="ask"), INTENT, exchange)
    assert isinstance(outcome, (Returned, Failed))
    if isinstance(outcome, Returned):
        assert outcome.result["isError"] is True


@pytest.mark.parametrize("era", ERAS)
async def test_resources_and_prompts_pass(world: World, plain: ServerBinding, era: Era) -> None:
    upstreams, exchange = world.upstreams(plain), FakeExchange(era)
    listed = await upstreams.execute(a_permit(name="", action=Action.LIST_RESOURCES), INTENT, exchange)
    assert isinstance(listed, Returned), listed
    assert listed.result["resources"][0]["uri"] == "note://one"
    read = await upstreams.execute(
        a_permit(name="note://one", action=Action.READ_RESOURCE, arguments={"uri": "note://one"}),
        INTENT,
        exchange,
    )
    assert isinstance(read, Returned), read
    assert read.result["contents"][0]["text"] == "remember"
    prompt = await upstreams.execute(
        a_permit(
            name="greet",
            action=Action.GET_PROMPT,
            arguments={"name": "srv__greet", "arguments": {"who": "bob"}},
        ),
        INTENT,
        exchange,
    )
    assert isinstance(prompt, Returned), prompt
    assert prompt.result["messages"][0]["content"]["text"] == "greet bob"


async def test_a_slow_tool_is_given_up_and_the_next_call_works(world: World, plain: ServerBinding) -> None:
    upstreams, exchange = world.upstreams(plain), FakeExchange()
    assert text_of(await upstreams.execute(a_permit(arguments={"text": "a"}), INTENT, exchange)) == "a"
    slow = await upstreams.execute(
        a_permit(name="slow", arguments={"seconds": 30.0}, timeout_ms=200), INTENT, exchange
    )
    assert isinstance(slow, Stopped)
    assert slow.reason == ReasonCode.TIMED_OUT.value
    assert text_of(await upstreams.execute(a_permit(arguments={"text": "b"}), INTENT, exchange)) == "b"


@pytest.mark.parametrize("era", ERAS)
async def test_a_result_past_the_manifests_limit_is_stopped(
    world: World, plain: ServerBinding, era: Era
) -> None:
    upstreams, exchange = world.upstreams(plain), FakeExchange(era)
    for size in (60_000, 2_000_000):
        big = a_permit(name="big", arguments={"size": size}, output_bytes_max=50_000)
        outcome = await upstreams.execute(big, INTENT, exchange)
        assert isinstance(outcome, Stopped), outcome
        assert outcome.reason == ReasonCode.OUTPUT_TOO_LARGE.value
    assert text_of(await upstreams.execute(a_permit(arguments={"text": "b"}), INTENT, exchange)) == "b"


async def test_an_error_of_the_server_keeps_its_code(world: World, plain: ServerBinding) -> None:
    outcome = await world.upstreams(plain).execute(
        a_permit(name="note://none", action=Action.READ_RESOURCE, arguments={"uri": "note://none"}),
        INTENT,
        FakeExchange(),
    )
    assert isinstance(outcome, Failed)
    assert outcome.reason == ReasonCode.TOOL_FAILED.value
    assert outcome.code < -32000


async def test_an_argument_that_the_definition_names_is_repeated_in_a_header(
    world: World, http_port: int
) -> None:
    upstreams = world.upstreams(binding_of("http", http_port))
    tools = (await upstreams.describe("srv")).tools
    definition = next(tool for tool in tools if tool["name"] == "where")
    exchange = FakeExchange(Era.STATELESS)
    pinned = a_version(name="where", definition=definition)
    outcome = await upstreams.execute(
        a_permit(name="where", arguments={"region": "über"}, version=pinned), INTENT, exchange
    )
    assert text_of(outcome) == "über"
    bare = await upstreams.execute(a_permit(name="where", arguments={"region": "x"}), INTENT, exchange)
    assert isinstance(bare, Failed)  # the control: this server does insist on the header


async def test_a_question_of_the_stateless_era_passes_both_ways(world: World, plain: ServerBinding) -> None:
    accepting = dataclasses.replace(plain, accepts=("elicitation",))
    upstreams, exchange = world.upstreams(accepting), FakeExchange(Era.STATELESS, {"elicitation": {}})
    asked = await upstreams.execute(a_permit(name="twice"), INTENT, exchange)
    assert isinstance(asked, Returned), asked
    assert asked.result["resultType"] == "input_required"
    answers = {"name": {"action": "accept", "content": {"name": "bob"}}}
    retry = {"inputResponses": answers, "requestState": asked.result["requestState"]}
    assert (
        text_of(await upstreams.execute(a_permit(name="twice", retry=retry), INTENT, exchange))
        == "answered kept"
    )


async def test_a_changed_list_is_heard(world: World, plain: ServerBinding) -> None:
    upstreams = world.upstreams(plain)
    _ = await upstreams.describe("srv")
    if plain.kind is BindingKind.STDIO:
        pytest.skip("each session has a process of its own, so its list is its own too")
    world.events.something.clear()
    for _ in range(2_000):  # the subscription is opened beside describe
        if world.events.something.is_set():
            break
        outcome = await upstreams.execute(a_permit(name="change"), INTENT, FakeExchange(Era.STATELESS))
        assert text_of(outcome) == "told"
    assert world.events.changed
    assert set(world.events.changed) == {"srv"}


async def test_each_session_has_its_own_process_and_the_declared_stateless_share_one(world: World) -> None:
    async def counted(upstreams: McpUpstreams, session: str) -> str:
        return text_of(
            await upstreams.execute(a_permit(name="count", session_id=session), INTENT, FakeExchange())
        )

    own = world.upstreams(binding_of("stdio", 0))
    assert [await counted(own, "a"), await counted(own, "a"), await counted(own, "b")] == ["1", "2", "1"]
    await own.close_session("a")
    assert await counted(own, "a") == "1"
    shared = world.upstreams(binding_of("stdio", 0, stateless=True))
    assert [await counted(shared, "a"), await counted(shared, "b")] == ["1", "2"]


async def test_sessions_without_number_do_not_mean_processes_without_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LINKS_MAX", 2)
    upstreams = world.upstreams(binding_of("stdio", 0))
    outcomes = [
        await upstreams.execute(a_permit(name="count", session_id=each), INTENT, FakeExchange())
        for each in ("a", "b", "c", "a")
    ]
    assert [type(outcome) for outcome in outcomes] == [Returned, Returned, Failed, Returned]
    assert isinstance(outcomes[2], Failed)
    assert outcomes[2].reason == "overloaded"
    await upstreams.close_session("b")
    again = await upstreams.execute(a_permit(name="count", session_id="c"), INTENT, FakeExchange())
    assert isinstance(again, Returned)


async def test_the_session_that_was_quiet_longest_makes_room_for_a_new_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LINKS_MAX", 2)
    monkeypatch.setattr(server, "LINK_QUIET_S", 0)
    upstreams = world.upstreams(binding_of("stdio", 0))

    async def counted(session: str) -> str:
        return text_of(
            await upstreams.execute(a_permit(name="count", session_id=session), INTENT, FakeExchange())
        )

    assert [await counted(each) for each in ("a", "b", "a", "c")] == ["1", "1", "2", "1"]
    assert await counted("a") == "3"  # `b` went, and not `a`, which was the older but not the quieter
    assert upstreams.counts("srv")["made_room"] == 1


async def test_a_child_sees_its_own_environment_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "do not leak")
    upstreams = world.upstreams(binding_of("stdio", 0, env={"GIVEN": "x${secret:TOKEN}y"}))
    outcome = await upstreams.execute(a_permit(name="environment"), INTENT, FakeExchange())
    assert isinstance(outcome, Returned)
    seen = [block["text"] for block in outcome.result["content"]]
    assert "GIVEN=xs3cret-valuey" in seen
    assert "GATEWAY_SECRET" not in seen


async def test_a_missing_secret_means_that_nothing_runs(world: World) -> None:
    upstreams = world.upstreams(binding_of("stdio", 0, env={"GIVEN": "${secret:NONE}"}))
    outcome = await upstreams.execute(a_permit(name="environment"), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert outcome.reason == ReasonCode.SECRET_MISSING.value


async def test_a_command_that_is_not_there_is_a_clear_failure(world: World) -> None:
    missing = ServerBinding(server="srv", kind=BindingKind.STDIO, command=("/nonexistent/server",))
    upstreams = world.upstreams(missing)
    outcome = await upstreams.execute(a_permit(), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert outcome.reason == ReasonCode.TOOL_UNREACHABLE.value
    with pytest.raises(ToolFailed, match="could not be started"):
        _ = await upstreams.describe("srv")


# --- hostile stdio servers: each alone, and a neighbour that must notice nothing


@pytest.fixture
async def pair(world: World) -> McpUpstreams:
    hostile = ServerBinding(
        server="hostile", kind=BindingKind.STDIO, command=HOSTILE, env={"TOKEN": "${secret:TOKEN}"}
    )
    good = ServerBinding(server="good", kind=BindingKind.STDIO, command=HOSTILE)
    return world.upstreams(hostile, good)


async def provoke(upstreams: McpUpstreams, tool: str, **manifest: Any) -> Any:
    """The hostile call, with calls to its neighbour before, during and after it."""
    exchange = FakeExchange()
    neighbour = a_permit("good", "ok")
    assert text_of(await upstreams.execute(neighbour, INTENT, exchange)) == "ok"
    running = asyncio.ensure_future(
        upstreams.execute(a_permit("hostile", tool, **manifest), INTENT, exchange)
    )
    while not running.done():
        assert text_of(await upstreams.execute(neighbour, INTENT, exchange)) == "ok"
        await asyncio.wait([running], timeout=0.05)
    assert text_of(await upstreams.execute(neighbour, INTENT, exchange)) == "ok"
    return await running


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ("dies", ReasonCode.UNKNOWN_OUTCOME),
        ("hangs", ReasonCode.TIMED_OUT),
        ("floods", ReasonCode.KILLED),
        ("chatters", ReasonCode.KILLED),
        ("endless", ReasonCode.OUTPUT_TOO_LARGE),
        ("huge", ReasonCode.OUTPUT_TOO_LARGE),
        ("wrong_shape", ReasonCode.BAD_OUTPUT),
    ],
)
async def test_a_hostile_tool_is_stopped_with_its_code(
    pair: McpUpstreams, tool: str, reason: ReasonCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        link, "INTERIM_BURST_MAX", 20_000
    )  # without the pace it chatters to its bound at once
    patience_ms = 1_500 if reason is ReasonCode.TIMED_OUT else 20_000  # a busy machine is no finding
    outcome = await provoke(pair, tool, timeout_ms=patience_ms, output_bytes_max=1_500_000)
    assert isinstance(outcome, Stopped), outcome
    assert outcome.reason == reason.value


@pytest.mark.parametrize("tool", ["twice", "foreign", "noise", "nan"])
async def test_what_is_not_the_answer_is_dropped_and_counted(pair: McpUpstreams, tool: str) -> None:
    outcome = await provoke(pair, tool)
    assert text_of(outcome) == ("first" if tool == "twice" else "ok")
    again = await pair.execute(a_permit("hostile", "ok"), INTENT, FakeExchange())
    assert text_of(again) == "ok"
    counts = pair.counts(
        "hostile"
    )  # two processes, for definitions and for the session, print one banner each
    dropped = counts.get("noise", 0) - 2 if tool in ("noise", "nan") else counts.get("unknown_id", 0)
    assert dropped == {"twice": 1, "foreign": 6, "noise": 50, "nan": 2}[tool]


async def test_a_dead_server_is_started_again_and_its_definitions_are_looked_at(
    world: World, pair: McpUpstreams
) -> None:
    outcome = await pair.execute(a_permit("hostile", "dies"), INTENT, FakeExchange())
    assert isinstance(outcome, Stopped)
    assert text_of(await pair.execute(a_permit("hostile", "ok"), INTENT, FakeExchange())) == "ok"
    assert world.events.changed == ["hostile"]


async def test_a_server_that_hangs_is_stopped_when_it_answers_no_ping_either(
    pair: McpUpstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "PING_TIMEOUT_S", 0.05)
    hung = await pair.execute(a_permit("hostile", "hangs", timeout_ms=200), INTENT, FakeExchange())
    assert isinstance(hung, Stopped)
    again = await pair.execute(a_permit("hostile", "ok"), INTENT, FakeExchange())
    assert (isinstance(again, Stopped) and again.reason == ReasonCode.KILLED.value) or text_of(again) == "ok"
    assert text_of(await pair.execute(a_permit("hostile", "ok"), INTENT, FakeExchange())) == "ok"
    assert pair.counts("hostile")["killed"] == 1


async def test_a_server_that_ignores_discovery_is_met_by_the_handshake(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PROBE_S", 0.1)
    monkeypatch.setattr(probing, "AFTER_PING_S", 0.1)
    ignoring = ServerBinding(
        server="old", kind=BindingKind.STDIO, command=HOSTILE, arguments=("ignore-discover",)
    )
    assert (await world.upstreams(ignoring).describe("old")).eras == (Era.HANDSHAKE,)


async def test_a_server_that_starts_slowly_is_not_taken_for_an_old_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PROBE_S", 0.0)
    assert Era.STATELESS in (await world.upstreams(binding_of("stdio", 0)).describe("srv")).eras


async def test_a_question_nobody_takes_is_refused(pair: McpUpstreams) -> None:
    outcome = await pair.execute(a_permit("hostile", "asks"), INTENT, FakeExchange())
    assert "-32601" in text_of(outcome)


async def test_unknown_members_of_definitions_survive_and_stderr_is_redacted(pair: McpUpstreams) -> None:
    said = await pair.describe("hostile")
    assert said.eras == (Era.HANDSHAKE,)
    assert said.tools[0] == {
        "name": "ok",
        "inputSchema": {"type": "object", "$defs": {"a": {"$anchor": "b"}}},
        "zz": 1.0,
    }
    assert "token is ***" in pair.stderr_tail("hostile")


async def test_arguments_are_forwarded_byte_for_byte(world: World, http_port: int) -> None:
    upstreams = world.upstreams(binding_of("http", http_port))
    permit = a_permit(
        version=a_version(), arguments_json=b'{"text":"1e2 \\u2028 kept"}', arguments={"text": "x"}
    )
    assert text_of(await upstreams.execute(permit, INTENT, FakeExchange())) == "1e2 \u2028 kept"
