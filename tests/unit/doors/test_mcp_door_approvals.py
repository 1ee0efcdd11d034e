"""How a call that waits for a person reaches agents of both eras, and which states let one come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from mcp_types import CallToolResult, InputRequiredResult
from tests.mcp_door_world import (
    RECEIPT,
    Client,
    World,
    a_tool_version,
    call_body,
    message,
    modern_meta,
    ok,
)

from toolward.errors import Reason, ReasonCode
from toolward.kernel.attempt import Attempt
from toolward.model.call import Reply, WireError
from toolward.ports.upstream import Exchange

PAGES = "http://127.0.0.1:7420/approvals"
PAGE = f"{PAGES}/a-1"
URL_CLIENT = {"elicitation": {"form": {}, "url": {}}}
CALL = {"name": "mail__send", "arguments": {"to": "bob"}}


def pending(approval: str = "a-1") -> Reply:
    reason = Reason(
        code=ReasonCode.APPROVAL_REQUIRED,
        text="mails to strangers are asked for",
        remedy="ask",
        details=(("approval", approval), ("expires", "2026-11-25T14:05:00Z")),
    )
    error = WireError(code=-32001, message=reason.sentence(), data=reason.as_json())
    return Reply(call_id="c", error=error, receipt=RECEIPT)


SENT = ok({"content": [{"type": "text", "text": "sent"}]})


class Person:
    """A gateway whose calls wait for this person: held as long as the caller can be, then pending."""

    def __init__(self, world: World) -> None:
        self.agreed = asyncio.Event()
        self.held = asyncio.Event()
        self.patience: list[float] = []
        world.gateway.script = self

    async def __call__(self, attempt: Attempt, exchange: Exchange) -> Reply:
        self.patience.append(exchange.patience_s)
        if exchange.patience_s and not self.agreed.is_set():
            telling = asyncio.ensure_future(exchange.waits("a-1", "mails to strangers are asked for"))
            self.held.set()
            try:
                async with asyncio.timeout(exchange.patience_s):
                    await self.agreed.wait()
            except TimeoutError:
                pass
            finally:
                telling.cancel()
        return SENT if self.agreed.is_set() else pending()


@pytest.fixture
def world() -> World:
    return World(approvals_url=PAGES, approval_hold_s=5, approval_progress_s=0.01)


@pytest.fixture
def person(world: World) -> Person:
    return Person(world)


def impatient(**settings: Any) -> World:
    return World(approvals_url=PAGES, approval_hold_s=0.01, **settings)


async def retry(client: Client, result: Mapping[str, Any], action: str = "accept", **changes: Any) -> Any:
    params = {
        **CALL,
        "requestState": result["requestState"],
        "inputResponses": {"dev.toolward/approval": {"action": action}},
        **changes,
    }
    return await client.modern("tools/call", params, meta=modern_meta(**URL_CLIENT))


# --- the 2026 era, with a page to go to ---------------------------------------------------------------


async def test_a_client_that_can_be_sent_to_a_page_is_sent_there_at_once(
    world: World, person: Person
) -> None:
    response = await world.client().modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))
    asked = InputRequiredResult.model_validate(response.result)
    (request,) = (asked.input_requests or {}).values()
    assert (request.params.mode, request.params.url) == ("url", PAGE)
    assert "mails to strangers" in request.params.message
    assert "elicitationId" not in response.result["inputRequests"]["dev.toolward/approval"]["params"]
    assert person.patience == [0]
    assert response.result["_meta"]["dev.toolward/receipt"] == RECEIPT


async def test_the_retry_waits_for_the_person_and_nothing_of_ours_reaches_the_server(
    world: World, person: Person
) -> None:
    client = world.client()
    first = await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))
    coming = asyncio.ensure_future(retry(client, first.result))
    await person.held.wait()
    person.agreed.set()
    assert (await coming).result["content"][0]["text"] == "sent"
    assert person.patience == [0, 5]
    assert not {"requestState", "inputResponses"} & set(world.gateway.attempts[-1].params)
    assert world.gateway.attempts[0].session_id == world.gateway.attempts[1].session_id


async def test_a_client_that_was_sent_there_is_only_asked_to_come_again() -> None:
    world = impatient()
    Person(world)
    client = world.client()
    first = await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))
    second = (await retry(client, first.result)).result
    assert second["resultType"] == "input_required"
    assert "inputRequests" not in second
    assert (await retry(client, second)).result["resultType"] == "input_required"


async def test_a_user_who_will_not_look_gets_the_answer_in_words() -> None:
    world = impatient()
    Person(world)
    client = world.client()
    first = await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))
    answer = (await retry(client, first.result, "decline")).result
    assert answer["isError"] is True
    assert PAGE in answer["content"][0]["text"]


async def test_what_a_server_waits_for_comes_back_when_the_person_has_agreed() -> None:
    """A retry that a server asked for is itself asked about: our state takes the place of the server's."""
    world = impatient()
    asked = {"who": {"method": "elicitation/create", "params": {"mode": "url", "message": "m", "url": "u"}}}
    replies = [
        ok({"resultType": "input_required", "inputRequests": asked, "requestState": "theirs"}),
        pending(),
        SENT,
    ]

    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        return replies.pop(0)

    world.gateway.script = script
    client = world.client()
    first = await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))
    answers = {"who": {"action": "accept"}}
    second = await retry(client, first.result, inputResponses=answers)
    third = await retry(client, second.result)
    assert third.result["content"][0]["text"] == "sent"
    params = world.gateway.attempts[-1].params
    assert (params["requestState"], params["inputResponses"]) == ("theirs", answers)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("altered", {"flip": True}),
        ("other arguments", {"arguments": {"to": "eve"}}),
        ("another tool", {"name": "mail__delete"}),
        ("another caller", {"token": "bob"}),
        ("another session", {"handle": "other"}),
        ("another endpoint", {"path": "/servers/git/mcp"}),
        ("taken for the server's", {"prefix": "tw1."}),
        ("too old", {"later": 601}),
    ],
)
async def test_a_state_that_was_not_sealed_for_this_very_call_is_refused(
    world: World, person: Person, what: str, changes: dict[str, Any]
) -> None:
    client = world.client()
    first = (await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))).result
    state: str = first["requestState"]
    if changes.pop("flip", False):
        state = state[:-1] + ("A" if state[-1] != "A" else "B")
    if prefix := changes.pop("prefix", ""):
        state = prefix + state.partition(".")[2]
    world.clock.forward(changes.pop("later", 0))
    client.token = changes.pop("token", client.token)
    client.path = changes.pop("path", client.path)
    headers: dict[str, str | None] = {}
    if changes.pop("handle", ""):
        other = await world.gateway.open_session(world.gateway.attempts[0].principal, None)  # type: ignore[arg-type]
        headers["x-toolward-session"] = other.session_id
    params = {**CALL, "requestState": state, **changes}
    asked_before = len(world.gateway.attempts)
    refused = await client.modern("tools/call", params, meta=modern_meta(**URL_CLIENT), headers=headers)
    assert refused.status == 400, what
    assert refused.error["code"] == -32602
    assert len(world.gateway.attempts) == asked_before


async def test_the_same_state_as_it_was_sealed_is_taken(world: World, person: Person) -> None:
    """The control of the test above."""
    client = world.client()
    first = (await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))).result
    person.agreed.set()
    assert (await retry(client, first)).result["content"][0]["text"] == "sent"


async def test_a_server_can_not_say_anything_that_comes_back_as_ours(world: World) -> None:
    """A server that knows how our states look inside gets its own words back, as words."""
    forged = '{"approval":"a-1","retry":{}}'
    seen: list[Any] = []

    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        seen.append(attempt.params.get("requestState"))
        return ok({"resultType": "input_required", "requestState": forged})

    world.gateway.script = script
    client = world.client()
    first = (await client.modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))).result
    await retry(client, first)
    assert seen == [None, forged]


# --- clients that are held ---------------------------------------------------------------------------


async def test_a_client_without_a_page_is_held_and_hears_that_it_is(world: World, person: Person) -> None:
    meta = {**modern_meta(), "progressToken": "p"}
    running = world.client().start_modern("tools/call", CALL, meta=meta)
    await running.until(lambda response: len(response.messages()) >= 2)
    person.agreed.set()
    response = await running.done()
    said = [m["params"] for m in response.messages() if m.get("method") == "notifications/progress"]
    assert {each["progressToken"] for each in said} == {"p"}
    assert [each["progress"] for each in said] == sorted({each["progress"] for each in said})
    assert PAGE in said[0]["message"]
    assert response.messages()[-1]["result"]["content"][0]["text"] == "sent"


async def test_a_handshake_client_is_held_and_hears_that_it_is(world: World, person: Person) -> None:
    client = await world.opened()
    body = message("tools/call", {**CALL, "_meta": {"progressToken": 7}})
    running = client.start(body)
    await running.until(lambda response: response.messages())
    person.agreed.set()
    response = await running.done()
    assert response.messages()[0]["params"]["progressToken"] == 7
    assert response.messages()[-1]["result"]["content"][0]["text"] == "sent"


@pytest.mark.parametrize("modern", [False, True])
async def test_a_hold_that_ends_unanswered_is_a_result_that_can_be_retried(modern: bool) -> None:
    world = impatient()
    Person(world)
    world.gateway.version = a_tool_version({"type": "object"})
    if modern:
        response = await world.client().modern("tools/call", CALL)
    else:
        client = await world.opened()
        response = await client.send(message("tools/call", CALL))
    CallToolResult.model_validate(response.result)
    denial = response.result["_meta"]["dev.toolward/denial"]
    assert response.result["isError"] is True
    assert (denial["code"], denial["retryable"]) == ("approval_required", True)
    expected = {"approval": "a-1", "url": PAGE, "expires": "2026-11-25T14:05:00Z"}
    assert denial["approval"] == expected
    assert response.result["structuredContent"] == {"approval": expected}
    text = response.result["content"][0]["text"]
    assert PAGE in text
    assert "same call again" in text


async def test_what_a_tool_promised_to_stand_in_structured_content_is_not_put_out_of_place() -> None:
    world = impatient()
    Person(world)
    version = a_tool_version({"type": "object"})
    definition = {**orjson.loads(version.definition), "outputSchema": {"type": "object"}}
    from dataclasses import replace

    world.gateway.version = replace(version, definition=orjson.dumps(definition))
    client = await world.opened()
    response = await client.send(message("tools/call", CALL))
    assert "structuredContent" not in response.result
    assert response.result["_meta"]["dev.toolward/denial"]["approval"]["url"] == PAGE


@pytest.mark.parametrize(
    ("prefer", "held_s"),
    [(None, 5), ("wait=2", 2), ("respond-async, wait=0", 0), ("wait=600", 5), ("wait=soon", 5)],
)
async def test_nobody_is_held_longer_than_he_says(
    world: World, person: Person, prefer: str | None, held_s: float
) -> None:
    person.agreed.set()
    client = await world.opened()
    await client.send(call_body("mail__send", to="bob"), headers={"prefer": prefer})
    assert person.patience == [held_s]


async def test_a_handshake_client_that_can_be_sent_to_the_page_is_sent_while_it_is_held(
    world: World, person: Person
) -> None:
    client = await world.opened(**URL_CLIENT)
    running = client.start(message("tools/call", CALL))
    await running.until(lambda response: response.messages())
    (question,) = running.response.messages()
    assert question["method"] == "elicitation/create"
    assert question["params"]["mode"] == "url"
    assert (question["params"]["url"], question["params"]["elicitationId"]) == (PAGE, "a-1")
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}
    assert (await client.send(orjson.dumps(answer))).status == 202
    person.agreed.set()
    messages = (await running.done()).messages()
    assert messages[1]["method"] == "notifications/elicitation/complete"
    assert messages[1]["params"] == {"elicitationId": "a-1"}
    assert messages[2]["result"]["content"][0]["text"] == "sent"


async def test_a_page_is_not_called_done_while_nobody_has_answered() -> None:
    world = impatient()
    Person(world)
    client = await world.opened(**URL_CLIENT)
    messages = (await client.send(message("tools/call", CALL))).messages()
    assert [each.get("method") for each in messages] == ["elicitation/create", None]
    assert messages[1]["result"]["_meta"]["dev.toolward/denial"]["retryable"] is True


async def test_a_client_that_declines_is_held_all_the_same(world: World, person: Person) -> None:
    client = await world.opened(**URL_CLIENT)
    running = client.start(message("tools/call", CALL))
    await running.until(lambda response: response.messages())
    answer = {"jsonrpc": "2.0", "id": running.response.messages()[0]["id"], "result": {"action": "decline"}}
    await client.send(orjson.dumps(answer))
    person.agreed.set()
    assert (await running.done()).messages()[-1]["result"]["content"][0]["text"] == "sent"


async def test_without_a_page_there_is_no_url_and_everybody_is_held() -> None:
    world = World(approval_hold_s=0.01)
    person = Person(world)
    response = await world.client().modern("tools/call", CALL, meta=modern_meta(**URL_CLIENT))
    assert person.patience == [0.01]
    assert response.result["isError"] is True
    assert "http" not in response.result["content"][0]["text"]
