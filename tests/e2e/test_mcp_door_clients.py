"""The official client against the door on real sockets, in both eras, and the stdio bridge over the Unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

from mcp_door_world import LEGACY, MODERN, World, answering, denied, message, modern_meta, notification, ok
from toolward.doors.mcp.stdio.bridge import StdioBridge
from toolward.doors.uvicorn_protocol import DoorProtocol
from toolward.errors import ReasonCode
from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Era, Reply
from toolward.ports.upstream import Exchange

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def served(world: World, listener: socket.socket) -> AsyncIterator[None]:
    """uvicorn in this process, as the daemon would run it."""
    config = uvicorn.Config(
        world.door, http=DoorProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
                await asyncio.sleep(0)
        yield
    finally:
        server.should_exit = True
        await task
        await world.door.close()


def tcp() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


async def full(attempt: Attempt, exchange: Exchange) -> Reply:
    """An upstream that uses everything."""
    if attempt.action is Action.LIST_TOOLS:
        return ok({"tools": [{"name": "git__log", "inputSchema": {"type": "object"}}]})
    if attempt.action is not Action.CALL_TOOL:
        return denied(ReasonCode.DENIED)
    name = attempt.params["name"]
    if name == "progress":
        await exchange.notify(
            "notifications/progress", {"progressToken": 0, "progress": 1, "message": "half"}
        )
    if name == "ask":
        question = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
        if exchange.era is Era.HANDSHAKE:
            answer: Any = await exchange.request("elicitation/create", question)
        else:
            answers = attempt.params.get("inputResponses")
            if attempt.params.get("requestState") != "round one":
                asked = {"who": {"method": "elicitation/create", "params": question}}
                return ok(
                    {"resultType": "input_required", "inputRequests": asked, "requestState": "round one"}
                )
            answer = answers["who"]
        return ok({"content": [{"type": "text", "text": answer["action"]}]})
    if name == "forbidden":
        return denied(ReasonCode.DENIED, "not yours", "ask the operator")
    return ok({"content": [{"type": "text", "text": orjson.dumps(attempt.params["arguments"]).decode()}]})


@pytest.mark.parametrize(("mode", "version"), [("legacy", LEGACY), (MODERN, MODERN), ("auto", MODERN)])
async def test_the_official_client_lists_calls_hears_progress_and_answers_questions(
    mode: Any, version: str
) -> None:
    world = World()
    world.gateway.script = full
    heard: list[str | None] = []

    async def progress(done: float, total: float | None, text: str | None) -> None:
        heard.append(text)

    async def elicit(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    listener = tcp()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    async with (
        served(world, listener),
        httpx2.AsyncClient(headers={"authorization": "Bearer alice"}) as http,
        Client(
            streamable_http_client(url, http_client=http), mode=mode, elicitation_callback=elicit
        ) as client,
    ):
        assert client.protocol_version == version
        assert [tool.name for tool in (await client.list_tools()).tools] == ["git__log"]
        result = await client.call_tool("git__log", {"n": 2}, progress_callback=progress)
        assert result.content[0].text == '{"n":2}'
        assert "dev.toolward/receipt" in (result.meta or {})
        await client.call_tool("progress", {}, progress_callback=progress)
        assert (await client.call_tool("ask", {})).content[0].text == "decline"
        forbidden = await client.call_tool("forbidden", {})
        assert (forbidden.is_error, forbidden.content[0].text) == (True, "not yours; ask the operator")
    assert heard == ["half"]


async def test_a_client_with_a_wrong_key_is_refused_and_recorded() -> None:
    world = World()
    listener = tcp()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    async with served(world, listener), httpx2.AsyncClient() as http:
        response = await http.post(url, json={}, headers={"authorization": "Bearer mallory"})
        forged = await http.post(url, json={}, headers={"x-toolward-stdio": "c", "x-os-uid": "1000"})
    assert (response.status_code, forged.status_code) == (401, 401)
    assert len(world.gateway.failures) == 2


class Pipe:
    """The client's side of a bridge."""

    def __init__(self, socket_path: Path, endpoint: str = "/mcp") -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        bridge = StdioBridge(
            str(socket_path),
            endpoint,
            connection_id="connection-1",
            write=lambda line: self._answers.put_nowait(orjson.loads(line)),
        )
        self.task = asyncio.create_task(bridge.run(self._read()))

    async def _read(self) -> AsyncIterator[bytes]:
        while (line := await self._lines.get()) is not None:
            yield line + b"\n"

    def say(self, line: bytes) -> None:
        self._lines.put_nowait(line)

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self._answers.get()

    async def close(self) -> None:
        self._lines.put_nowait(None)
        async with asyncio.timeout(5):
            await self.task


async def test_the_bridge_carries_a_legacy_session_with_questions_and_notices(tmp_path: Path) -> None:
    world = World()
    world.gateway.script = full
    path = tmp_path / "s"
    async with served(world, unix(path)):
        pipe = Pipe(path)
        pipe.say(message("initialize", {"protocolVersion": LEGACY, "capabilities": {"elicitation": {}}}))
        pipe.say(notification("notifications/initialized"))
        pipe.say(message("tools/call", {"name": "x", "arguments": {"a": "ü"}}, "second"))
        assert (await pipe.hear())["result"]["protocolVersion"] == LEGACY
        answer = await pipe.hear()
        assert (answer["id"], answer["result"]["content"][0]["text"]) == ("second", '{"a":"ü"}')
        session_id = next(iter(world.gateway.sessions))
        assert world.gateway.sessions[session_id].origin.value == "stdio"

        pipe.say(message("tools/call", {"name": "ask", "arguments": {}}, 3))
        question = await pipe.hear()
        assert question["method"] == "elicitation/create"
        pipe.say(orjson.dumps({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}))
        assert (await pipe.hear())["result"]["content"][0]["text"] == "accept"

        async with asyncio.timeout(5):
            while not world.gateway.notices._listeners:  # noqa: ASYNC110 -- nor has the board
                await asyncio.sleep(0)
        world.gateway.notices.deliver("git", session_id, "notifications/tools/list_changed", {})
        assert (await pipe.hear())["method"] == "notifications/tools/list_changed"

        pipe.say(b"not json")
        pipe.say(b'{"jsonrpc":"2.0","id":9,"id":10,"method":"ping"}')
        errors = {(await pipe.hear())["error"]["data"]["code"] for _ in range(2)}
        assert errors == {"malformed", "duplicate_key"}
        await pipe.close()
    assert world.gateway.closed == [session_id]


async def test_the_bridge_carries_stateless_requests_and_cancels_by_closing(tmp_path: Path) -> None:
    world = World()
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def script(attempt: Attempt, exchange: Exchange) -> Reply:
        if attempt.action is Action.LIST_TOOLS:
            return ok({"tools": []})
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    world.gateway.script = script
    path = tmp_path / "s"
    async with served(world, unix(path)):
        pipe = Pipe(path, "/servers/git/mcp")
        pipe.say(message("tools/call", {"name": "x", "arguments": {}, "_meta": modern_meta()}, 1))
        async with asyncio.timeout(5):
            await started.wait()
        pipe.say(notification("notifications/cancelled", {"requestId": 1}))
        async with asyncio.timeout(5):
            await cancelled.wait()
        pipe.say(message("tools/list", {"_meta": modern_meta()}, 2))
        answer = await pipe.hear()
        assert (answer["id"], answer["result"]["cacheScope"]) == (2, "private")
        await pipe.close()
    assert {a.session_id for a in world.gateway.attempts} == set(world.gateway.closed)
    assert world.gateway.attempts[0].server == "git"


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_official_client_starts_the_bridge_as_a_stdio_server(tmp_path: Path, mode: Any) -> None:
    world = World()
    world.gateway.script = full
    path = tmp_path / "s"
    program = (
        "import asyncio; from toolward.doors.mcp.stdio.pipes import run_stdio_bridge; "
        f"asyncio.run(run_stdio_bridge({str(path)!r}, connection_id='c-1'))"
    )
    server = StdioServerParameters(command=sys.executable, args=["-c", program])
    async with served(world, unix(path)), Client(server, mode=mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["git__log"]
        assert (await client.call_tool("git__log", {"n": 2})).content[0].text == '{"n":2}'
    assert {a.door for a in world.gateway.attempts} == {"stdio"}


async def test_the_bridge_reads_a_file_too_and_answers_all_of_it(tmp_path: Path) -> None:
    world = World()
    path, script = tmp_path / "s", tmp_path / "script"
    lines = [message("tools/list", {"_meta": modern_meta()}, n) for n in range(3)]
    script.write_bytes(b"\n".join(lines) + b"\n")
    program = (
        "import asyncio; from toolward.doors.mcp.stdio.pipes import run_stdio_bridge; "
        f"asyncio.run(run_stdio_bridge({str(path)!r}, '/servers/git/mcp', connection_id='c-1'))"
    )
    async with served(world, unix(path)):
        with script.open("rb") as stdin:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, stdin=stdin, stdout=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(20):
                out, _ = await child.communicate()
    assert sorted(orjson.loads(line)["id"] for line in out.splitlines()) == [0, 1, 2]
    assert child.returncode == 0


async def test_without_a_daemon_each_request_is_told_what_to_do(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "nobody")
    pipe.say(message("ping", {}, 5))
    pipe.say(notification("notifications/initialized"))
    answer = await pipe.hear()
    assert (answer["id"], answer["error"]["data"]["remedy"]) == (
        5,
        "start it with `toolward up` and try again",
    )
    await pipe.close()


async def test_the_kernel_tells_who_is_at_the_other_end_of_the_socket(tmp_path: Path) -> None:
    world = World()
    world.gateway.script = answering(ok({}))
    seen: list[int | None] = []
    authenticate = world.door._identity.authenticate

    class Watching:
        def authenticate(self, credentials: Any) -> Any:
            seen.append(credentials.os_uid)
            return authenticate(credentials)

    world.door._identity = Watching()
    path = tmp_path / "s"
    async with served(world, unix(path)):
        pipe = Pipe(path)
        pipe.say(message("tools/list", {"_meta": modern_meta()}, 2))
        await pipe.hear()
        await pipe.close()
    assert set(seen) == {os.getuid()}
