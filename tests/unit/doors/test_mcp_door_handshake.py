"""The handshake era on the wire: sessions, replies, streams, questions to the client."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from mcp_door_world import (
    ALICE,
    RECEIPT,
    FakeGateway,
    World,
    answering,
    call_body,
    denied,
    message,
    notification,
    ok,
)
from toolward.errors import Denied, ReasonCode
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Era, Reply, WireError
from toolward.model.session import SessionOrigin
from toolward.ports.upstream import Exchange


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
async def test_initialize_agrees_on_each_version_of_the_era(version: str) -> None:
    world = World()
    response = await world.client().initialize(version)
    result = response.result
    assert result["protocolVersion"] == version
    assert result["capabilities"] == {
        "tools": {"listChanged": True}
    }  # `tasks` is not served, so not promised
    assert result["serverInfo"]["name"] == "toolward"
    assert result["instructions"] == "be kind"
    assert [s.origin for s in world.gateway.sessions.values()] == [SessionOrigin.MCP_SESSION]


async def test_initialize_answers_an_unknown_version_with_the_newest_of_the_era() -> None:
    assert (await World().client().initialize("1999-01-01")).result["protocolVersion"] == "2025-11-25"


async def test_an_endpoint_of_one_server_shows_that_server() -> None:
    response = await World().client(path="/servers/git/mcp").initialize()
    assert response.result["serverInfo"] == {"name": "git-server", "version": "9"}


async def test_a_call_becomes_an_attempt_and_its_result_comes_back_with_a_receipt() -> None:
    world = World()
    client = await world.opened(path="/servers/git/mcp", sampling={})
    response = await client.call("log", "call-a", count=3)
    assert response.headers["content-type"] == "application/json"
    assert response.json["id"] == "call-a"
    assert response.result["_meta"] == {"dev.toolward/receipt": RECEIPT}
    attempt = world.gateway.attempts[0]
    assert (attempt.action, attempt.server, attempt.era) == (Action.CALL_TOOL, "git", Era.HANDSHAKE)
    assert attempt.params == {"name": "log", "arguments": {"count": 3}}
    assert attempt.session_id in world.gateway.sessions
    assert world.gateway.exchanges[0].capabilities == {"sampling": {}}


async def test_a_result_is_relayed_unchanged_but_for_our_own_meta() -> None:
    world = World()
    upstream = {
        "content": [{"type": "text", "text": "ü", "annotations": {"x": 1}}],
        "structuredContent": [1, {"deep": None}],
        "isError": True,
        "_meta": {"theirs": 1, "dev.toolward/receipt": "forged", "dev.toolward/denial": "forged"},
        "unknown": {"kept": True},
    }
    world.gateway.script = answering(ok(upstream))
    client = await world.opened()
    result = (await client.call()).result
    assert result.pop("_meta") == {"theirs": 1, "dev.toolward/receipt": RECEIPT}
    upstream.pop("_meta")
    assert result == upstream


async def test_a_denied_call_is_a_tool_result_that_an_agent_can_read() -> None:
    world = World()
    world.gateway.script = answering(denied(ReasonCode.DENIED, "path is outside", "use /work"))
    client = await world.opened()
    result = (await client.call()).result
    assert result["isError"] is True
    assert result["content"] == [{"type": "text", "text": "path is outside; use /work"}]
    assert result["_meta"]["dev.toolward/denial"] == {
        "code": "denied",
        "reason": "path is outside",
        "remedy": "use /work",
        "retryable": False,
    }
    assert result["_meta"]["dev.toolward/receipt"] == RECEIPT


@pytest.mark.parametrize(("code", "retryable"), [("overloaded", True), ("unknown_outcome", False)])
async def test_a_denial_says_whether_the_same_call_may_be_tried_again(code: str, retryable: bool) -> None:
    world = World()
    world.gateway.script = answering(denied(ReasonCode(code)))
    client = await world.opened()
    assert (await client.call()).result["_meta"]["dev.toolward/denial"]["retryable"] is retryable


async def test_a_denial_of_anything_else_is_an_error_with_the_reason() -> None:
    world = World()
    world.gateway.script = answering(denied(ReasonCode.DENIED))
    client = await world.opened()
    response = await client.send(message("resources/read", {"uri": "file:///x"}))
    assert response.status == 200
    assert response.error["data"]["code"] == "denied"


async def test_an_unknown_tool_is_a_protocol_error() -> None:
    world = World()
    world.gateway.script = answering(denied(ReasonCode.UNKNOWN_TOOL, "unknown tool: `x`", rpc_code=-32602))
    client = await world.opened()
    response = await client.call("x")
    assert response.error["code"] == -32602
    assert response.error["data"]["code"] == "unknown_tool"


async def test_an_upstream_error_is_relayed_as_it_is() -> None:
    world = World()
    error = WireError(code=-32042, message="theirs", data={"elicitations": []})
    world.gateway.script = answering(Reply(call_id="c", error=error))
    client = await world.opened()
    assert (await client.call()).error == {"code": -32042, "message": "theirs", "data": {"elicitations": []}}


async def test_ping_and_unknown_methods() -> None:
    client = await World().opened()
    assert (await client.send(message("ping"))).result == {}
    unknown = await client.send(message("tasks/list"))
    assert (unknown.status, unknown.error["code"]) == (200, -32601)


@pytest.mark.parametrize(
    ("method", "params", "action"),
    [
        ("tools/list", {}, Action.LIST_TOOLS),
        ("resources/list", {"cursor": "c"}, Action.LIST_RESOURCES),
        ("resources/templates/list", {}, Action.LIST_TEMPLATES),
        ("resources/read", {"uri": "x:1"}, Action.READ_RESOURCE),
        ("resources/subscribe", {"uri": "x:1"}, Action.SUBSCRIBE),
        ("resources/unsubscribe", {"uri": "x:1"}, Action.UNSUBSCRIBE),
        ("prompts/list", {}, Action.LIST_PROMPTS),
        ("prompts/get", {"name": "p"}, Action.GET_PROMPT),
        ("completion/complete", {"ref": {"type": "ref/prompt"}, "argument": {}}, Action.COMPLETE),
        ("logging/setLevel", {"level": "info"}, Action.SET_LOG_LEVEL),
    ],
)
async def test_every_action_walks_the_corridor(method: str, params: dict[str, Any], action: Action) -> None:
    world = World()
    client = await world.opened()
    assert (await client.send(message(method, params))).status == 200
    assert [(a.action, a.params) for a in world.gateway.attempts] == [(action, params)]


async def test_setting_the_log_level_is_answered_with_nothing_but_an_empty_object() -> None:
    client = await World().opened()
    assert (await client.send(message("logging/setLevel", {"level": "info"}))).result == {}


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list"])
async def test_what_only_servers_may_ask_is_no_method_for_clients(method: str) -> None:
    world = World()
    client = await world.opened()
    assert (await client.send(message(method))).error["code"] == -32601
    assert world.gateway.attempts == []


async def test_a_request_without_a_session_is_told_to_initialize() -> None:
    response = await World().client().call()
    assert response.status == 400
    assert "initialize" in response.error["data"]["remedy"]


async def test_delete_ends_the_session() -> None:
    world = World()
    client = await world.opened()
    session_id = next(iter(world.gateway.sessions))
    assert (await client.send(method="DELETE")).status == 200
    assert (await client.call()).status == 404
    assert world.gateway.closed == [session_id]


async def test_an_idle_session_is_gone_and_the_next_handshake_closes_it() -> None:
    world = World()
    client = await world.opened()
    first = next(iter(world.gateway.sessions))
    world.clock.forward(world.settings.session_idle_s + 1)
    assert (await client.call()).status == 404
    await world.opened()
    assert world.gateway.closed == [first]


async def test_past_the_limit_the_oldest_session_ends() -> None:
    world = World(sessions_max=2)
    first, second, third = [await world.opened() for _ in range(3)]
    statuses = [(await client.call()).status for client in (first, second, third)]
    assert statuses == [404, 200, 200]


async def test_whoever_opens_many_sessions_ends_his_own_and_nobody_elses() -> None:
    world = World(sessions_max=3)
    bobs = await world.opened("bob")
    mine = [await world.opened() for _ in range(5)]
    assert (await bobs.call()).status == 200
    assert [(await client.call()).status for client in mine] == [404, 404, 404, 200, 200]


async def test_a_newcomer_is_let_in_when_all_places_are_others() -> None:
    world = World(sessions_max=2)
    bobs = [await world.opened("bob") for _ in range(2)]
    mine = await world.opened()
    assert (await mine.call()).status == 200
    assert [(await client.call()).status for client in bobs] == [404, 200]


async def test_a_handle_of_the_host_decides_which_session_it_is() -> None:
    world = World()
    await world.gateway.open_session(ALICE, SessionOrigin.HANDLE, session_id="handle-1")
    client = world.client()
    body = message("initialize", {"protocolVersion": "2025-11-25"})
    response = await client.send(body, headers={"x-toolward-session": "handle-1"})
    client.session = response.headers["mcp-session-id"]
    await client.call()
    assert world.gateway.attempts[0].session_id == "handle-1"
    await client.send(method="DELETE")
    assert world.gateway.closed == []  # the host opened it, so the host ends it
    bob = world.client("bob")
    assert (await bob.send(body, headers={"x-toolward-session": "handle-1"})).status == 404


async def test_the_handle_may_come_in_the_meta_of_initialize() -> None:
    world = World()
    await world.gateway.open_session(ALICE, SessionOrigin.HANDLE, session_id="handle-1")
    client = world.client()
    meta = {"dev.toolward/session": "handle-1"}
    body = message("initialize", {"protocolVersion": "2025-11-25", "_meta": meta})
    client.session = (await client.send(body)).headers["mcp-session-id"]
    await client.call()
    assert world.gateway.attempts[0].session_id == "handle-1"
    assert (await world.client("bob").send(body)).status == 404


async def test_a_hosts_key_makes_no_calls() -> None:
    world = World()
    assert (await world.client("host").initialize()).status == 401
    assert (await world.client("alice").initialize()).status == 200


# --- streams ------------------------------------------------------------------------------------------


def noisy(*notes: tuple[str, dict[str, Any]]) -> Any:
    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        del attempt
        for method, params in notes:
            await exchange.notify(method, params)
        return ok({"content": []})

    return script


PROGRESS = ("notifications/progress", {"progressToken": "upstream's own", "progress": 1})
LOG = ("notifications/message", {"level": "info", "data": "x"})


def with_token(token: Any) -> bytes:
    return message("tools/call", {"name": "t", "arguments": {}, "_meta": {"progressToken": token}}, 5)


async def test_a_call_with_something_to_say_becomes_a_stream_that_can_be_resumed() -> None:
    world = World()
    world.gateway.script = noisy(LOG, PROGRESS)
    client = await world.opened()
    response = await client.send(with_token("mine"))
    assert response.is_stream
    priming, *events = response.events()
    assert priming == {"id": "1-0", "retry": "1000", "data": ""}
    assert [event["id"] for event in events] == ["1-1", "1-2", "1-3"]
    log, progress, result = response.messages()
    assert log["params"] == LOG[1]
    assert progress["params"] == {"progressToken": "mine", "progress": 1}
    assert (result["id"], result["result"]["content"]) == (5, [])


async def test_without_a_progress_token_there_is_no_progress_and_so_no_stream() -> None:
    world = World()
    world.gateway.script = noisy(PROGRESS)
    client = await world.opened()
    assert not (await client.call()).is_stream


async def test_a_client_that_accepts_no_stream_misses_notifications_and_gets_its_result() -> None:
    world = World()
    world.gateway.script = noisy(LOG)
    client = await world.opened()
    response = await client.send(call_body("t"), headers={"accept": "application/json"})
    assert (response.is_stream, response.status) == (False, 200)


async def test_older_clients_get_no_event_without_data() -> None:
    world = World()
    world.gateway.script = noisy(LOG)
    client = world.client()
    await client.initialize("2025-06-18")
    response = await client.call()
    assert all(event.get("data") for event in response.events())


async def test_a_lost_connection_does_not_cancel_and_the_rest_can_be_fetched() -> None:
    world = World()
    go_on = asyncio.Event()

    async def slow(attempt: Attempt, exchange: Exchange) -> Reply:
        await exchange.notify(*LOG)
        await go_on.wait()
        return ok({"content": [{"type": "text", "text": "late"}]})

    world.gateway.script = slow
    client = await world.opened()
    lost = client.start(call_body("t", 9))
    await lost.until(lambda r: b"1-1" in r.raw)
    lost.leave()
    resumed = client.start(method="GET", headers={"last-event-id": "1-1", "accept": "text/event-stream"})
    await resumed.until(lambda r: r.status)
    go_on.set()
    response = await resumed.done()
    assert [m["result"]["content"][0]["text"] for m in response.messages()] == ["late"]
    again = await client.send(method="GET", headers={"last-event-id": "1-0"})
    assert [m.get("method") for m in again.messages()] == ["notifications/message", None]
    await lost.done()


@pytest.mark.parametrize("event_id", ["", "x", "1-", "-1", "77-0", "1-" + "9" * 5000, "\uff11-0"])
async def test_an_event_id_that_is_not_the_sessions_is_refused(event_id: str) -> None:
    world = World()
    client = await world.opened()
    running = client.start(method="GET", headers={"last-event-id": event_id.encode().decode("latin-1")})
    assert (await running.done()).status == 400


async def test_events_of_one_session_can_not_be_fetched_in_another() -> None:
    world = World()
    world.gateway.script = noisy(LOG)
    alice, other = await world.opened(), await world.opened()
    await alice.call()
    assert (await other.send(method="GET", headers={"last-event-id": "1-0"})).status == 400


async def test_the_replay_buffer_is_bounded_and_forgets_the_oldest() -> None:
    world = World(replay_events_max=3)
    world.gateway.script = noisy(LOG, LOG, LOG, LOG)
    client = await world.opened()
    await client.call()
    replayed = await client.send(method="GET", headers={"last-event-id": "1-0"})
    assert [event["id"] for event in replayed.events()] == ["1-3", "1-4", "1-5"]


async def test_the_standing_stream_carries_what_belongs_to_no_call() -> None:
    world = World()
    client = await world.opened()
    session_id = next(iter(world.gateway.sessions))
    standing = client.start(method="GET")
    await standing.until(lambda r: r.status == 200)
    world.gateway.notices.deliver("git", session_id, "notifications/tools/list_changed", {})
    response = await standing.until(lambda r: b"list_changed" in r.raw)
    assert response.messages() == [{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}]
    standing.leave()
    await standing.done()
    world.gateway.notices.deliver("git", session_id, "notifications/resources/updated", {"uri": "x:1"})
    back = client.start(method="GET", headers={"last-event-id": response.events()[0]["id"]})
    await back.until(lambda r: b"updated" in r.raw)
    assert [m["params"] for m in back.response.messages()] == [{"uri": "x:1"}]
    newer = client.start(method="GET")
    await newer.until(lambda r: r.status == 200)
    await back.done()  # a newer reader takes the stream over
    await client.send(method="DELETE")
    await newer.done()  # and the session's end is the stream's end


async def test_a_server_endpoint_hears_only_its_server() -> None:
    world = World()
    client = await world.opened(path="/servers/git/mcp")
    session_id = next(iter(world.gateway.sessions))
    standing = client.start(method="GET")
    await standing.until(lambda r: r.status == 200)
    world.gateway.notices.deliver("other", session_id, "notifications/tools/list_changed", {})
    world.gateway.notices.deliver("git", session_id, "notifications/prompts/list_changed", {})
    response = await standing.until(lambda r: b"list_changed" in r.raw)
    assert [m["method"] for m in response.messages()] == ["notifications/prompts/list_changed"]
    standing.leave()
    await standing.done()


async def test_get_needs_a_client_that_reads_streams() -> None:
    client = await World().opened()
    assert (await client.send(method="GET", headers={"accept": "application/json"})).status == 406


# --- questions to the client --------------------------------------------------------------------------


def asking(method: str, params: dict[str, Any] | None = None) -> Any:
    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        del attempt
        try:
            answer = await exchange.request(method, params or {})
        except Denied as no:
            return ok({"denied": no.reason.text, "code": no.reason.code.value})
        return ok({"answer": dict(answer)})

    return script


async def asked(world: World, **capabilities: Any) -> Any:
    world.gateway.script = asking("elicitation/create", {"message": "?"})
    client = await world.opened(**capabilities)
    running = client.start(call_body("t", 3))
    response = await running.until(lambda r: b"elicitation" in r.raw)
    question = response.messages()[0]
    assert question["params"] == {"message": "?"}
    return client, running, question["id"]


def answer(request_id: Any, **members: Any) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, **members})


async def test_a_question_goes_on_the_calls_stream_and_its_answer_comes_by_post() -> None:
    client, running, question = await asked(World(), elicitation={})
    accepted = await client.send(answer(question, result={"action": "accept"}))
    response = await running.done()
    assert accepted.status == 202
    assert response.messages()[-1]["result"]["answer"] == {"action": "accept"}


async def test_an_answer_with_a_wrong_id_or_from_another_session_changes_nothing() -> None:
    world = World()
    client, running, question = await asked(world, elicitation={})
    thief = await world.opened("bob", elicitation={})
    twin = await world.opened(elicitation={})
    for who, request_id in ((client, "toolward-99"), (client, 1), (thief, question), (twin, question)):
        assert (await who.send(answer(request_id, result={"action": "forged"}))).status == 202
    assert not running.task.done()
    await client.send(answer(question, result={"action": "first"}))
    await client.send(answer(question, result={"action": "second"}))
    assert (await running.done()).messages()[-1]["result"]["answer"] == {"action": "first"}


async def test_a_client_that_answers_with_an_error_has_refused() -> None:
    client, running, question = await asked(World(), elicitation={})
    await client.send(answer(question, error={"code": -1, "message": "rejected by user"}))
    result = (await running.done()).messages()[-1]["result"]
    assert result["code"] == "request_not_accepted"
    assert "rejected by user" in result["denied"]


@pytest.mark.parametrize(
    ("method", "params", "capabilities"),
    [
        ("elicitation/create", {}, {}),
        ("sampling/createMessage", {}, {"elicitation": {}}),
        ("roots/list", {}, {"sampling": {}}),
        ("elicitation/create", {"mode": "url"}, {"elicitation": {}}),
        ("something/else", {}, {"something": {}}),
    ],
)
async def test_a_client_is_not_asked_what_it_did_not_declare(
    method: str, params: dict[str, Any], capabilities: dict[str, Any]
) -> None:
    world = World()
    world.gateway.script = asking(method, params)
    client = await world.opened(**capabilities)
    response = await client.call()
    assert not response.is_stream
    assert response.result["code"] == "request_not_accepted"


async def test_a_question_to_a_client_that_left_is_answered_for_it() -> None:
    _, running, _ = await asked(World(), elicitation={})
    running.leave()
    assert "gone" in (await running.done()).messages()[-1]["result"]["denied"]


async def test_a_question_that_stays_unanswered_times_out() -> None:
    world = World(client_answer_s=0)
    world.gateway.script = asking("elicitation/create")
    client = await world.opened(elicitation={})
    assert (await client.call()).messages()[-1]["result"]["code"] == "timed_out"


async def test_a_server_can_not_flood_its_client_with_questions() -> None:
    world = World(questions_max=1)
    client, running, question = await asked(world, elicitation={})
    second = await client.call("t", 4)
    assert second.result["code"] == "overloaded"
    await client.send(answer(question, result={}))
    await running.done()


async def test_a_question_ends_with_its_session() -> None:
    client, running, _ = await asked(World(), elicitation={})
    await client.send(method="DELETE")
    assert (await running.done()).messages()[-1]["error"]["code"] == -32800


# --- cancellation -------------------------------------------------------------------------------------


def endless(gateway: FakeGateway, started: asyncio.Event) -> asyncio.Event:
    cancelled = asyncio.Event()

    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        del attempt, exchange
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    gateway.script = script
    return cancelled


async def test_a_cancelled_request_stops_in_the_corridor() -> None:
    world = World()
    started = asyncio.Event()
    cancelled = endless(world.gateway, started)
    client = await world.opened()
    running = client.start(call_body("t", "slow"))
    await started.wait()
    other = await world.opened()
    await other.send(notification("notifications/cancelled", {"requestId": "slow"}))
    assert not cancelled.is_set()  # another session's id
    await client.send(notification("notifications/cancelled", {"requestId": "slow"}))
    response = await running.done()
    assert cancelled.is_set()
    assert (response.json["id"], response.error["code"]) == ("slow", -32800)


async def test_a_request_id_can_not_run_twice_at_once() -> None:
    world = World()
    started = asyncio.Event()
    endless(world.gateway, started)
    client = await world.opened()
    running = client.start(call_body("t", 1))
    await started.wait()
    assert (await client.call("t", 1)).error["code"] == -32600
    await client.send(notification("notifications/cancelled", {"requestId": 1}))
    await running.done()
