"""What the door refuses before anything is asked of the corridor."""

from __future__ import annotations

import orjson
import pytest

from mcp_door_world import ALICE, BOB, Client, World, call_body, message, notification

TRICKS = {
    "name beside Name": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","Name":"evil"}}',
        -32600,
        "case_variant_key",
    ),
    "method beside METHOD": (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call","params":{"name":"evil"}}',
        -32600,
        "case_variant_key",
    ),
    "arguments beside Arguments": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"s","arguments":{},"Arguments":{}}}',
        -32600,
        "case_variant_key",
    ),
    "NaN": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"n":NaN}}}',
        -32700,
        "number_out_of_range",
    ),
    "UTF-16": (call_body("safe").decode().encode("utf-16"), -32700, "not_unicode"),
    "duplicate keys": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","name":"evil"}}',
        -32600,
        "duplicate_key",
    ),
    "a batch": (b"[" + call_body("evil") + b"]", -32600, "malformed"),
    "a missing id": (
        b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"evil","arguments":{}}}',
        -32600,
        "malformed",
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("modern", [False, True])
async def test_a_parser_trick_never_reaches_the_corridor(trick: str, modern: bool) -> None:
    world = World()
    client = await world.opened()
    body, rpc_code, reason = TRICKS[trick]
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"} if modern else {}
    response = await client.send(body, headers=headers)
    assert (response.status, response.error["code"]) == (400, rpc_code)
    assert response.error["data"]["code"] == reason
    assert world.gateway.attempts == []
    assert world.gateway.unreadable == [(ALICE, reason, "", "http")]


async def test_a_refusal_that_can_not_be_recorded_says_only_that() -> None:
    world = World()
    world.gateway.audit_is_down = True
    response = await world.client().send(b"nonsense")
    assert (response.status, response.error["data"]["code"]) == (503, "audit_unavailable")


async def test_control_the_same_call_without_a_trick_does_reach_it() -> None:
    world = World()
    client = await world.opened()
    assert (await client.call("safe")).status == 200
    assert [a.params["name"] for a in world.gateway.attempts] == ["safe"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'"text"',
        b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}',
    ],
)
async def test_what_is_no_message_is_refused_with_a_reason(body: bytes) -> None:
    world = World()
    client = await world.opened()
    response = await client.send(body)
    assert response.status == 400
    assert response.error["code"] in {-32700, -32600, -32602}
    assert response.error["data"]["code"] == "malformed"


@pytest.mark.parametrize(
    "params", [{}, {"name": 7}, {"name": "x", "arguments": []}, {"name": "x", "_meta": 1}]
)
async def test_params_that_name_no_target_are_refused_with_the_request_id(params: dict[str, object]) -> None:
    world = World()
    client = await world.opened()
    response = await client.send(message("tools/call", params, "abc"))
    assert (response.error["code"], response.json["id"]) == (-32602, "abc")
    assert world.gateway.attempts == []


async def test_a_body_beyond_the_limit_is_refused_by_its_declared_length_and_while_it_is_read() -> None:
    world = World(body_bytes_max=1000)
    client = world.client()
    declared = await client.send(b"{}", headers={"content-length": "1001"})
    chunks = [b" " * 400] * 3
    read = await client.send(chunks)
    assert (declared.status, read.status) == (413, 413)
    assert read.error["data"]["code"] == "too_large"


async def test_a_body_in_pieces_is_put_together() -> None:
    world = World()
    client = await world.opened()
    body = call_body("echo", a=1)
    response = await client.send([body[:10], body[10:20], body[20:]])
    assert orjson.loads(response.result["content"][0]["text"]) == {"a": 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": None}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"accept": "text/html"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"content-length": "-1"}, 413),
        ({"mcp-protocol-version": "2031-01-01"}, 400),
    ],
)
async def test_headers_that_do_not_fit_are_refused(headers: dict[str, str | None], status: int) -> None:
    world = World()
    client = await world.opened()
    assert (await client.send(call_body("echo"), headers=headers)).status == status
    assert world.gateway.attempts == []


async def test_a_content_type_with_parameters_and_any_accept_are_fine() -> None:
    client = await World().opened()
    fine = {"content-type": "application/json; charset=utf-8", "accept": "*/*"}
    assert (await client.send(call_body("echo"), headers=fine)).status == 200


@pytest.mark.parametrize("name", ["mcp-method", "mcp-session-id", "host", "authorization", "content-length"])
async def test_a_deciding_header_that_was_sent_twice_is_refused(name: str) -> None:
    world = World()
    client = await world.opened()
    headers = {name: "1"} if name in {"mcp-method", "content-length"} else {}
    assert (await client.send(call_body("echo"), headers=headers, twice={name: "2"})).status == 400
    assert world.gateway.attempts == []


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9", "null", "http://[bad"])
async def test_a_foreign_origin_is_refused(origin: str) -> None:
    world = World()
    client = await world.opened()
    response = await client.send(call_body("echo"), headers={"origin": origin})
    assert response.status == 403
    assert response.error["data"]["code"] == "foreign_origin"
    assert [(r.code.value, door) for r, door in world.gateway.failures] == [("foreign_origin", "http")]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost@x"]
)
async def test_a_foreign_host_is_refused(host: str) -> None:
    world = World()
    assert (await world.client().send(call_body("echo"), headers={"host": host})).status == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"])
async def test_loopback_names_are_served_with_the_origin_of_the_same_port(host: str) -> None:
    client = await World().opened()
    headers = {"host": host, "origin": f"http://{host}"}
    assert (await client.send(call_body("echo"), headers=headers)).status == 200


async def test_loopback_names_mean_nothing_when_the_gateway_is_not_bound_to_loopback() -> None:
    world = World(loopback=False, allowed_hosts=frozenset({"gate.example"}))
    assert (await world.client().initialize()).status == 403
    client = world.client()
    body = message("initialize", {"protocolVersion": "2025-11-25"})
    assert (await client.send(body, headers={"host": "gate.example"})).status == 200


async def test_an_origin_that_the_operator_allows_is_served() -> None:
    world = World(allowed_origins=frozenset({"https://app.example"}))
    client = await world.opened()
    headers = {"origin": "https://app.example"}
    assert (await client.send(call_body("echo"), headers=headers)).status == 200


@pytest.mark.parametrize("token", ["", "wrong", "alice bob"])
async def test_who_can_not_prove_who_it_is_gets_401_and_is_recorded(token: str) -> None:
    world = World()
    response = await world.client(token).send(call_body("echo"))
    assert response.status == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert [(r.code.value, door) for r, door in world.gateway.failures] == [("unauthenticated", "http")]


async def test_a_bad_token_is_not_rescued_by_the_unix_socket() -> None:
    world = World()
    client = world.client("wrong")
    client.uid = 1000
    assert (await client.send(call_body("echo"))).status == 401


async def test_a_unix_socket_signs_in_by_its_user_and_needs_no_host() -> None:
    world = World()
    client = world.client("")
    client.uid = 1000
    body = message("initialize", {"protocolVersion": "2025-11-25"})
    assert (await client.send(body, headers={"host": "anything"})).status == 200


async def test_paths_and_methods_that_are_not_there() -> None:
    world = World()
    client = await world.opened()
    assert (await client.send(b"", path="/other")).status == 404
    assert (await client.send(b"", path="/servers//mcp")).status == 404
    assert (await client.send(b"", path="/servers/a/b/mcp")).status == 404
    put = await client.send(b"", method="PUT")
    assert (put.status, put.headers["allow"]) == (405, "GET, POST, DELETE")
    modern = await client.send(b"", method="GET", headers={"mcp-protocol-version": "2026-07-28"})
    assert (modern.status, modern.headers["allow"]) == (405, "POST")


async def test_an_unknown_server_is_no_endpoint() -> None:
    world = World()
    response = await world.client(path="/servers/nobody/mcp").initialize()
    assert response.status == 404


async def test_a_bug_is_answered_without_its_details_and_still_reported() -> None:
    world = World()
    client = await world.opened()

    async def bug(attempt: object, exchange: object) -> object:
        raise ZeroDivisionError("secret detail")

    world.gateway.script = bug
    running = client.start(call_body("echo"))
    with pytest.raises(ZeroDivisionError):
        await running.done()
    assert running.response.status == 500
    assert b"secret detail" not in running.response.raw


async def test_the_session_of_somebody_else_looks_like_none() -> None:
    world = World()
    alice = await world.opened()
    bob = await world.opened("bob")
    thief = Client(world.door, token="bob")
    thief.session = alice.session
    stolen = await thief.call()
    invented = await thief.send(call_body("echo"), headers={"mcp-session-id": "never-was"})
    assert (stolen.status, stolen.error) == (invented.status, invented.error)
    assert stolen.status == 404
    assert (await thief.send(method="DELETE")).status == 404
    assert (await thief.send(method="GET")).status == 404
    assert (await bob.call()).status == 200
    assert [a.principal for a in world.gateway.attempts] == [BOB]


async def test_a_session_belongs_to_the_endpoint_where_it_was_opened() -> None:
    world = World()
    client = await world.opened()
    response = await client.send(call_body("echo"), path="/servers/git/mcp")
    assert response.status == 404


async def test_a_notification_is_accepted_without_an_answer() -> None:
    client = await World().opened()
    response = await client.send(notification("notifications/initialized"))
    assert (response.status, response.raw) == (202, b"")
