"""The stateless era on the wire: the envelope, mirrored headers, streams, and rounds of input."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from mcp_door_world import (
    ALICE,
    MODERN,
    RECEIPT,
    STATE_KEY,
    Client,
    World,
    a_tool_version,
    answering,
    denied,
    message,
    modern_meta,
    notification,
    ok,
)
from toolward.doors.mcp.stateless.mirrored import declared_mirrors, unwrap
from toolward.errors import Denied, ReasonCode
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Era, Reply, WireError
from toolward.model.session import SessionOrigin
from toolward.ports.upstream import Exchange

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CALL = {"name": "echo", "arguments": {"a": 1}}


async def test_a_call_needs_no_handshake_and_its_result_says_what_the_era_wants() -> None:
    world = World()
    response = await world.client(path="/servers/git/mcp").modern("tools/call", CALL, request_id="x")
    assert (response.status, response.json["id"]) == (200, "x")
    result = response.result
    assert result["resultType"] == "complete"
    assert result["_meta"] == {
        "dev.toolward/receipt": RECEIPT,
        "io.modelcontextprotocol/serverInfo": {"name": "git-server", "version": "9"},
    }
    assert "ttlMs" not in result
    attempt = world.gateway.attempts[0]
    assert (attempt.era, attempt.server, attempt.action) == (Era.STATELESS, "git", Action.CALL_TOOL)


@pytest.mark.parametrize(
    ("meta", "header", "status"),
    [
        ("handle-1", None, 200),
        ("handle-1", "handle-1", 200),
        ("handle-1", "handle-2", 400),
        (None, "handle-1", 400),
        (["handle-1"], None, 400),
        ("handle-9", None, 404),
    ],
)
async def test_the_hosts_handle_comes_in_meta_or_a_header_and_is_one(
    meta: Any, header: str | None, status: int
) -> None:
    world = World()
    for handle in ("handle-1", "handle-2"):
        await world.gateway.open_session(ALICE, SessionOrigin.HANDLE, session_id=handle)
    response = await world.client().modern(
        "tools/call",
        CALL,
        meta={**modern_meta(), "dev.toolward/session": meta},
        headers={"x-toolward-session": header},
    )
    assert response.status == status
    assert [attempt.session_id for attempt in world.gateway.attempts] == ["handle-1"] * (status == 200)


async def test_discover_tells_versions_capabilities_and_who_answers() -> None:
    result = (await World().client().modern("server/discover")).result
    assert result["supportedVersions"] == [MODERN]
    assert result["capabilities"] == {"tools": {"listChanged": True}}
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "toolward"
    assert (result["ttlMs"], result["cacheScope"], result["resultType"]) == (0, "private", "complete")


@pytest.mark.parametrize(
    "method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"]
)
async def test_lists_are_private_whatever_the_upstream_said(method: str) -> None:
    world = World()
    world.gateway.script = answering(ok({"ttlMs": 60, "cacheScope": "public"}))
    result = (await world.client().modern(method)).result
    assert (result["ttlMs"], result["cacheScope"]) == (60, "private")


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {VERSION_KEY: MODERN},
        {"io.modelcontextprotocol/clientCapabilities": {}},
        {**modern_meta(), "io.modelcontextprotocol/clientCapabilities": []},
    ],
)
async def test_a_request_without_its_envelope_is_refused(meta: dict[str, Any]) -> None:
    world = World()
    response = await world.client().modern("tools/call", CALL, meta=meta, request_id=41)
    assert (response.status, response.error["code"], response.json["id"]) == (400, -32602, 41)
    assert world.gateway.attempts == []


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-method": None},
        {"mcp-method": "tools/list"},
        {"mcp-method": "TOOLS/CALL"},
        {"mcp-name": None},
        {"mcp-name": "other"},
        {"mcp-name": "=?base64?!!?="},
        {"mcp-protocol-version": None},
    ],
)
async def test_headers_that_say_something_else_than_the_body_are_refused(
    headers: dict[str, str | None],
) -> None:
    world = World()
    response = await world.client().modern("tools/call", CALL, headers=headers, request_id=7)
    assert (response.status, response.error["code"], response.json["id"]) == (400, -32020, 7)
    assert response.error["data"]["code"] == "header_mismatch"
    assert world.gateway.attempts == []


@pytest.mark.parametrize("name", ["  echo  ", "=?base64?ZWNobw==?="])
async def test_white_space_and_base64_around_a_header_value_are_no_difference(name: str) -> None:
    response = await World().client().modern("tools/call", CALL, headers={"mcp-name": name})
    assert response.status == 200


async def test_an_unsupported_version_is_told_the_supported_ones() -> None:
    meta = {**modern_meta(), VERSION_KEY: "v999"}
    headers = {"mcp-protocol-version": "v999"}
    response = await World().client().modern("server/discover", meta=meta, headers=headers)
    assert (response.status, response.error["code"]) == (400, -32022)
    assert response.error["data"]["supported"] == [MODERN]
    assert response.error["data"]["requested"] == "v999"


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "made/up"],
)
async def test_methods_that_the_era_does_not_have_are_not_found(method: str) -> None:
    world = World()
    response = await world.client().modern(method)
    assert (response.status, response.error["code"]) == (404, -32601)
    assert world.gateway.attempts == []


async def test_notifications_are_accepted_and_answers_refused() -> None:
    client = World().client()
    headers = {"mcp-protocol-version": MODERN}
    assert (await client.send(notification("notifications/cancelled"), headers=headers)).status == 202
    stray = b'{"jsonrpc":"2.0","id":"toolward-1","result":{}}'
    assert (await client.send(stray, headers=headers)).status == 400


async def test_calls_of_one_credential_share_a_session_and_others_do_not() -> None:
    world = World()
    await world.client().modern("tools/call", CALL)
    await world.client().modern("tools/list")
    await world.client("bob").modern("tools/list")
    first, second, third = [a.session_id for a in world.gateway.attempts]
    assert first == second != third


async def test_a_stdio_connection_is_a_session_of_its_own_and_only_over_the_socket() -> None:
    world = World()
    body = message("tools/list", {"_meta": modern_meta()})
    local = world.client("")
    local.uid = 1000
    for connection in ("c1", "c1", "c2"):
        await local.send(body, headers={"x-toolward-stdio": connection})
    remote = {"x-toolward-stdio": "c1", "mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
    await world.client().send(body, headers=remote)
    one, same, two, other = [a.session_id for a in world.gateway.attempts]
    assert one == same != two
    assert other not in {one, two}
    assert world.gateway.sessions[one].origin is SessionOrigin.STDIO
    assert world.gateway.attempts[0].door == "stdio"
    await local.send(method="DELETE", headers={"x-toolward-stdio": "c1"})
    assert world.gateway.closed == [one]


async def test_a_denied_call_is_readable_and_a_denied_read_is_an_error() -> None:
    world = World()
    world.gateway.script = answering(denied(ReasonCode.DENIED))
    result = (await world.client().modern("tools/call", CALL)).result
    assert (result["isError"], result["resultType"]) == (True, "complete")
    read = await world.client().modern("resources/read", {"uri": "x:1"})
    assert read.error["data"]["code"] == "denied"


async def test_an_unknown_tool_is_readable_as_in_the_official_sdk() -> None:
    world = World()
    world.gateway.script = answering(denied(ReasonCode.UNKNOWN_TOOL, "unknown tool: `x`", rpc_code=-32602))
    result = (await world.client().modern("tools/call", CALL)).result
    assert result["isError"] is True
    assert result["_meta"]["dev.toolward/denial"]["code"] == "unknown_tool"
    prompt = await world.client().modern("prompts/get", {"name": "p"})
    assert (prompt.status, prompt.error["code"]) == (400, -32602)


@pytest.mark.parametrize(("rpc_code", "status"), [(-32601, 404), (-32602, 400), (-32021, 400), (-32000, 200)])
async def test_an_error_travels_with_the_status_of_its_code(rpc_code: int, status: int) -> None:
    world = World()
    world.gateway.script = answering(
        Reply(call_id="c", error=WireError(code=rpc_code, message="m", data={"requiredCapabilities": {}}))
    )
    response = await world.client().modern("tools/call", CALL)
    assert (response.status, response.error["code"]) == (status, rpc_code)


# --- mirrored arguments -------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "deep": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
        "free": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("arguments", "headers", "status"),
    [
        ({"region": "eu"}, {"mcp-param-region": "eu"}, 200),
        ({"region": "eu"}, {"mcp-param-region": "=?base64?ZXU=?="}, 200),
        ({"region": "ü"}, {"mcp-param-region": "=?base64?w7w=?="}, 200),
        ({"region": "=?base64?ZXU="}, {"mcp-param-region": "=?base64?ZXU="}, 200),
        ({"region": "eu"}, {}, 400),
        ({"region": "eu"}, {"mcp-param-region": "us"}, 400),
        ({"region": "eu"}, {"mcp-param-region": "=?base64?ZXU?="}, 400),
        ({"region": "eu"}, {"mcp-param-region": "=?base64?ZX!!U=?="}, 400),
        ({}, {"mcp-param-region": "eu"}, 400),
        ({"region": None}, {}, 200),
        ({"count": 42}, {"mcp-param-count": "42.0"}, 200),
        ({"count": 42}, {"mcp-param-count": "43"}, 400),
        ({"deep": {"on": True}}, {"mcp-param-on": "true"}, 200),
        ({"deep": {"on": True}}, {"mcp-param-on": "True"}, 400),
        ({"free": "x"}, {"mcp-param-free": "other"}, 200),
    ],
)
async def test_declared_arguments_and_their_headers_must_agree(
    arguments: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    world = World()
    world.gateway.version = a_tool_version(SCHEMA)
    params = {"name": "t", "arguments": arguments}
    response = await world.client().modern("tools/call", params, headers=headers)
    assert response.status == status
    assert status == 200 or response.error["code"] == -32020


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "not a token"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": 7}}},
        {"x-mcp-header": "Root", "type": "string"},
        {"allOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {"$defs": {"d": {"type": "string", "x-mcp-header": "A"}}},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "Same"},
                "b": {"type": "string", "x-mcp-header": "SAME"},
            }
        },
    ],
)
def test_an_invalid_declaration_voids_the_whole_schema(schema: dict[str, Any]) -> None:
    assert declared_mirrors(schema) == ()


def test_a_default_that_looks_like_a_declaration_is_none() -> None:
    schema = {"properties": {"a": {"type": "object", "default": {"x-mcp-header": "A", "type": "string"}}}}
    assert declared_mirrors(schema) == ()


def test_one_text_has_one_base64_spelling() -> None:
    assert unwrap("=?base64?ZXU=?=") == "eu"
    assert unwrap("=?base64?ZXV=?=") is None


# --- streams ------------------------------------------------------------------------------------------


async def test_log_messages_come_only_from_the_level_that_was_asked_for() -> None:
    world = World()

    async def chatty(attempt: Attempt, exchange: Exchange) -> Reply:
        for level in ("debug", "warning", "nonsense"):
            await exchange.notify("notifications/message", {"level": level, "data": level})
        return ok({})

    world.gateway.script = chatty
    silent = await world.client().modern("tools/call", CALL)
    assert not silent.is_stream
    meta = {**modern_meta(), "io.modelcontextprotocol/logLevel": "info"}
    response = await world.client().modern("tools/call", CALL, meta=meta)
    assert response.is_stream
    assert [m.get("params", {}).get("level") for m in response.messages()] == ["warning", None]
    assert all("id" not in event for event in response.events())  # nothing can be resumed in this era


async def test_a_client_is_never_sent_a_request() -> None:
    world = World()

    async def asks(attempt: Attempt, exchange: Exchange) -> Reply:
        with pytest.raises(Denied):
            await exchange.request("elicitation/create", {})
        return ok({})

    world.gateway.script = asks
    meta = modern_meta(elicitation={})
    assert not (await world.client().modern("tools/call", CALL, meta=meta)).is_stream


async def test_closing_the_connection_cancels_the_call() -> None:
    world = World()
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(attempt: Attempt, exchange: Exchange) -> Reply:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    world.gateway.script = endless
    running = world.client().start_modern("tools/call", CALL)
    await started.wait()
    running.leave()
    await running.done()
    assert cancelled.is_set()
    assert running.response.status == 0


async def test_control_a_call_whose_caller_stays_is_not_cancelled() -> None:
    world = World()
    go_on = asyncio.Event()

    async def slow(attempt: Attempt, exchange: Exchange) -> Reply:
        await go_on.wait()
        return ok({"content": []})

    world.gateway.script = slow
    running = world.client().start_modern("tools/call", CALL)
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()
    assert (await running.done()).status == 200


LISTEN = {"notifications": {"toolsListChanged": True, "promptsListChanged": False}}


async def listening(world: World, params: dict[str, Any], **options: Any) -> Any:
    running = world.client().start_modern("subscriptions/listen", params, request_id="sub", **options)
    await running.until(lambda r: b"acknowledged" in r.raw)
    return running


async def test_listening_acknowledges_first_and_delivers_only_what_was_asked_for() -> None:
    world = World()
    running = await listening(world, LISTEN)
    for method in ("prompts", "resources", "tools"):
        world.gateway.notices.deliver("git", "", f"notifications/{method}/list_changed", {})
    response = await running.until(lambda r: b"tools/list_changed" in r.raw)
    tag = {"io.modelcontextprotocol/subscriptionId": "sub"}
    acknowledged, changed = response.messages()
    assert acknowledged["params"] == {"notifications": {"toolsListChanged": True}, "_meta": tag}
    assert changed == {
        "jsonrpc": "2.0",
        "method": "notifications/tools/list_changed",
        "params": {"_meta": tag},
    }
    running.leave()
    await running.done()
    assert world.gateway.notices._listeners == {}


async def test_resources_are_subscribed_through_the_corridor_and_only_the_allowed_ones() -> None:
    world = World()

    async def only_a(attempt: Attempt, exchange: Exchange) -> Reply:
        return ok({}) if attempt.params["uri"] == "x:a" else denied(ReasonCode.DENIED)

    world.gateway.script = only_a
    running = await listening(world, {"notifications": {"resourceSubscriptions": ["x:a", "x:b", "x:a"]}})
    for uri in ("x:b", "x:a"):
        world.gateway.notices.deliver("git", "", "notifications/resources/updated", {"uri": uri})
    response = await running.until(lambda r: b"resources/updated" in r.raw)
    acknowledged, updated = response.messages()
    assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": ["x:a"]}
    assert updated["params"]["uri"] == "x:a"
    running.leave()
    await running.done()
    asked = [(a.action.value, a.params["uri"]) for a in world.gateway.attempts]
    assert asked == [
        ("resources/subscribe", "x:a"),
        ("resources/subscribe", "x:b"),
        ("resources/unsubscribe", "x:a"),
    ]


async def test_a_listener_that_is_too_slow_is_ended_rather_than_buffered_without_bound() -> None:
    world = World(backlog_max=2)
    running = await listening(world, LISTEN)
    for _ in range(4):
        world.gateway.notices.deliver("git", "", "notifications/tools/list_changed", {})
    last = (await running.done()).messages()[-1]
    assert last["id"] == "sub"
    assert last["result"]["resultType"] == "complete"


@pytest.mark.parametrize(
    "notifications",
    [
        None,
        [],
        {"resourceSubscriptions": "x:a"},
        {"resourceSubscriptions": [1]},
        {"resourceSubscriptions": ["u"] * 257},
    ],
)
async def test_a_filter_that_is_none_is_refused(notifications: Any) -> None:
    response = await World().client().modern("subscriptions/listen", {"notifications": notifications})
    assert (response.status, response.error["code"]) == (400, -32602)


async def test_listening_needs_a_client_that_reads_streams() -> None:
    headers = {"accept": "application/json"}
    assert (await World().client().modern("subscriptions/listen", LISTEN, headers=headers)).status == 406


# --- rounds of input ----------------------------------------------------------------------------------

ASK = {"who": {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}}


async def rounds(world: World) -> tuple[Client, str]:
    """A client that was asked for input, and the state it was shown."""

    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        if "requestState" in attempt.params:
            return ok({"content": [], "seen": attempt.params["requestState"]})
        return ok({"resultType": "input_required", "inputRequests": ASK, "requestState": "the upstream's"})

    world.gateway.script = script
    client = world.client()
    result = (await client.modern("tools/call", CALL, meta=modern_meta(elicitation={}))).result
    assert result["resultType"] == "input_required"
    assert result["inputRequests"] == ASK
    return client, result["requestState"]


def retry(state: Any, **changed: Any) -> dict[str, Any]:
    return {**CALL, "inputResponses": {"who": {"action": "accept"}}, "requestState": state, **changed}


async def test_a_state_goes_out_sealed_and_comes_back_as_it_was() -> None:
    world = World()
    client, state = await rounds(world)
    assert "upstream" not in state
    assert b"upstream" not in base64.urlsafe_b64decode(state.removeprefix("tw1.") + "==")
    response = await client.modern("tools/call", retry(state), request_id=2)
    assert response.result["seen"] == "the upstream's"
    assert world.gateway.attempts[1].params["inputResponses"] == {"who": {"action": "accept"}}


async def refused(client: Client, params: dict[str, Any], method: str = "tools/call") -> None:
    response = await client.modern(method, params, request_id=2)
    assert (response.status, response.error["code"]) == (400, -32602)
    assert "requestState" in response.error["message"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state + "-TAMPERED",
        lambda state: state[:-1] + ("A" if state[-1] != "A" else "B"),
        lambda state: state[:10] + ("A" if state[10] != "A" else "B") + state[11:],
        lambda state: state.removeprefix("tw1."),
        lambda state: "tw1.",
        lambda state: "tw1.ü",
        lambda state: "the upstream's",
        lambda state: None,
        lambda state: {"a": 1},
    ],
)
async def test_an_altered_state_is_refused(damage: Any) -> None:
    world = World()
    client, state = await rounds(world)
    await refused(client, retry(damage(state)))
    assert len(world.gateway.attempts) == 1


async def test_a_state_of_another_request_is_refused() -> None:
    world = World()
    client, state = await rounds(world)
    await refused(client, retry(state, name="other"))
    await refused(client, retry(state, arguments={"a": 2}))
    await refused(client, {"name": "echo", "arguments": {"a": 1}, "requestState": state}, "prompts/get")
    await refused(world.client("bob"), retry(state))
    await refused(world.client(path="/servers/git/mcp"), retry(state))
    assert len(world.gateway.attempts) == 1


async def test_a_state_expires() -> None:
    world = World()
    client, state = await rounds(world)
    world.clock.forward(world.settings.state_ttl_s + 1)
    await refused(client, retry(state))


async def test_a_state_sealed_with_another_key_is_refused() -> None:
    _, state = await rounds(World(state_key=STATE_KEY[::-1]))
    await refused(World().client(), retry(state))


async def test_a_client_is_not_asked_for_input_that_it_did_not_declare() -> None:
    world = World()
    world.gateway.script = answering(ok({"resultType": "input_required", "inputRequests": ASK}))
    response = await world.client().modern("tools/call", CALL, meta=modern_meta(sampling={}))
    assert (response.status, response.error["code"]) == (400, -32021)
    assert response.error["data"]["requiredCapabilities"] == {"elicitation": {}}


async def test_input_is_never_asked_for_where_the_era_forbids_it() -> None:
    world = World()
    world.gateway.script = answering(ok({"resultType": "input_required", "inputRequests": {}}))
    response = await world.client().modern("tools/list")
    assert response.error["data"]["code"] == "bad_output"


def test_the_key_has_to_be_long_enough() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        World(state_key=b"short")
