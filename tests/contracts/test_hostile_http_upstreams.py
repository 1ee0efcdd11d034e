"""HTTP servers that misbehave: every answer ends in a coded outcome, and no other call is harmed."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_mcp_upstreams import World, text_of

from builders import INTENT, FakeExchange, a_permit
from toolward.adapters.tools.mcp import link
from toolward.adapters.tools.mcp.bounds import INTERIM_TOGETHER_MAX
from toolward.adapters.tools.mcp.http import listening, streamable
from toolward.errors import ReasonCode
from toolward.model.call import Era, Failed, Stopped
from toolward.model.server import ServerBinding
from toolward.model.tool import BindingKind

Tool = Callable[["Visit"], Awaitable[None]]
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "h", "version": "0"},
}


class Visit:
    """One request that the scripted server got, and the ways to answer it."""

    def __init__(
        self, method: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        self.http_method = method
        self.headers = headers
        self.message: dict[str, Any] = orjson.loads(body) if body else {}
        self.writer = writer
        self.id = self.message.get("id")

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def answer(self, status: int, kind: str, body: bytes, extra: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
        self.raw(head.encode() + body)

    def json(self, message: Any, extra: str = "") -> None:
        self.answer(200, "application/json", orjson.dumps(message), extra)

    def stream(self) -> None:
        self.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")

    def ok(self, text: str = "ok") -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": self.id, "result": {"content": [{"type": "text", "text": text}]}}


class Scripted:
    """A handshake-era HTTP server whose tools are scripts over raw sockets."""

    def __init__(self) -> None:
        self.tools: dict[str, Tool] = {}
        self.got: list[Visit] = []
        self.session = ""
        self.on_get: Tool | None = None
        self.deleted = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> int:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                visit = Visit(head[0].split()[0], headers, body, writer)
                self.got.append(visit)
                await self._serve(visit)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(self, visit: Visit) -> None:
        method = visit.message.get("method", "")
        if visit.http_method == "DELETE":
            self.deleted.set()
            visit.answer(204, "text/plain", b"")
        elif visit.http_method == "GET":
            if self.on_get is None:
                visit.answer(405, "text/plain", b"")
            else:
                await self.on_get(visit)
        elif method == "server/discover":
            visit.answer(404, "text/plain", b"what?")
        elif method == "initialize":
            extra = f"mcp-session-id: {self.session}\r\n" if self.session else ""
            visit.json({"jsonrpc": "2.0", "id": visit.id, "result": HELLO}, extra)
        elif method == "tools/call":
            await self.tools.get(visit.message["params"]["name"], self._fine)(visit)
        elif visit.id is None or "result" in visit.message or "error" in visit.message:
            visit.answer(202, "text/plain", b"")
        else:
            visit.json({"jsonrpc": "2.0", "id": visit.id, "result": {"tools": []}})

    @staticmethod
    async def _fine(visit: Visit) -> None:
        visit.json(visit.ok())


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    made = Scripted()
    yield made
    made.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    async with asyncio.timeout(60):
        yield made
        await made.close()


async def bad_type(visit: Visit) -> None:
    visit.answer(200, "text/html", b"<html>")


async def wrong_id(visit: Visit) -> None:
    visit.json({**visit.ok(), "id": (visit.id or 0) + 1})


async def id_as_text(visit: Visit) -> None:
    visit.json({**visit.ok(), "id": str(visit.id)})


async def not_a_number(visit: Visit) -> None:
    visit.answer(200, "application/json", b'{"jsonrpc":"2.0","id":%d,"result":{"x":NaN}}' % visit.id)


async def half_stream(visit: Visit) -> None:
    visit.stream()
    visit.raw(b'data: {"jsonrpc":"2.0","id":')
    visit.writer.close()


async def half_json(visit: Visit) -> None:
    visit.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
    visit.writer.close()


async def silent_close(visit: Visit) -> None:
    visit.writer.close()


async def redirect(visit: Visit) -> None:
    visit.answer(307, "text/plain", b"", "location: http://127.0.0.2:9/mcp\r\n")


async def not_http(visit: Visit) -> None:
    visit.raw(b"SSH-2.0-OpenSSH\r\n")


async def too_long(visit: Visit) -> None:
    visit.answer(200, "application/json", b'{"x":"' + b"x" * 300_000)


async def too_long_unannounced(visit: Visit) -> None:
    visit.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(40):
        visit.raw(b"2710\r\n" + b"x" * 10_000 + b"\r\n")


async def long_head(visit: Visit) -> None:
    visit.raw(
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %b\r\n" % (i, b"y" * 1000) for i in range(100)) + b"\r\n"
    )


async def stream_of_noise(visit: Visit) -> None:
    visit.stream()
    event = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}\n\n'
    while not visit.writer.is_closing():
        visit.raw(event * 100)
        await visit.writer.drain()


async def endless_event(visit: Visit) -> None:
    visit.stream()
    while not visit.writer.is_closing():
        visit.raw(b"data: " + b"x" * 60_000)
        await visit.writer.drain()


async def server_error(visit: Visit) -> None:
    visit.answer(500, "text/plain", b"oops")


async def busy(visit: Visit) -> None:
    visit.answer(503, "text/plain", b"busy")


async def forbidden(visit: Visit) -> None:
    visit.answer(403, "text/plain", b"no")


async def accepted(visit: Visit) -> None:
    visit.answer(202, "text/plain", b"")


async def hangs(visit: Visit) -> None:
    await asyncio.Event().wait()


async def error_with_code(visit: Visit) -> None:
    visit.answer(
        400,
        "application/json",
        orjson.dumps(
            {"jsonrpc": "2.0", "id": visit.id, "error": {"code": -32021, "message": "m", "data": {"a": 1}}}
        ),
    )


@pytest.mark.parametrize(
    ("tool", "kind", "reason"),
    [
        (bad_type, Stopped, ReasonCode.BAD_OUTPUT),
        (wrong_id, Stopped, ReasonCode.BAD_OUTPUT),
        (id_as_text, Stopped, ReasonCode.BAD_OUTPUT),
        (not_a_number, Stopped, ReasonCode.BAD_OUTPUT),
        (accepted, Stopped, ReasonCode.BAD_OUTPUT),
        (half_stream, Stopped, ReasonCode.UNKNOWN_OUTCOME),
        (half_json, Stopped, ReasonCode.UNKNOWN_OUTCOME),
        (silent_close, Stopped, ReasonCode.UNKNOWN_OUTCOME),
        (not_http, Stopped, ReasonCode.UNKNOWN_OUTCOME),
        (long_head, Stopped, ReasonCode.UNKNOWN_OUTCOME),
        (server_error, Stopped, ReasonCode.UNKNOWN_OUTCOME),
        (too_long, Stopped, ReasonCode.OUTPUT_TOO_LARGE),
        (too_long_unannounced, Stopped, ReasonCode.OUTPUT_TOO_LARGE),
        (endless_event, Stopped, ReasonCode.OUTPUT_TOO_LARGE),
        (stream_of_noise, Stopped, ReasonCode.TIMED_OUT),
        (hangs, Stopped, ReasonCode.TIMED_OUT),
        (redirect, Failed, ReasonCode.TOOL_UNREACHABLE),
        (busy, Failed, ReasonCode.TOOL_UNREACHABLE),
        (forbidden, Failed, ReasonCode.TOOL_UNREACHABLE),
        (error_with_code, Failed, ReasonCode.TOOL_FAILED),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_a_hostile_answer_ends_with_its_code_and_harms_no_other_call(
    world: World, scripted: Scripted, tool: Tool, kind: type, reason: ReasonCode
) -> None:
    scripted.tools["bad"] = tool
    upstreams = world.upstreams(http_binding(await scripted.start()))
    exchange = FakeExchange()
    assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, exchange)) == "ok"
    limits = {"timeout_ms": 500, "output_bytes_max": 200_000}
    results = await asyncio.gather(
        upstreams.execute(a_permit(name="bad", **limits), INTENT, exchange),
        *(upstreams.execute(a_permit(name="ok"), INTENT, exchange) for _ in range(20)),
    )
    assert type(results[0]) is kind, results[0]
    assert results[0].reason == reason.value
    assert [text_of(result) for result in results[1:]] == ["ok"] * 20
    assert sum(visit.message.get("params", {}).get("name") == "bad" for visit in scripted.got) == 1


async def test_a_stream_of_noise_is_read_slowly_and_ended_past_its_bound(
    world: World, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.tools["bad"] = stream_of_noise
    upstreams = world.upstreams(http_binding(await scripted.start()))
    exchange = FakeExchange()
    slowed = await upstreams.execute(a_permit(name="bad", timeout_ms=2_000), INTENT, exchange)
    assert isinstance(slowed, Stopped)
    assert upstreams.counts("srv")["paced"] > 0
    assert len(exchange.heard) < 200 + 3 * 200
    monkeypatch.setattr(streamable, "INTERIM_MESSAGES_MAX", 100)
    ended = await upstreams.execute(a_permit(name="bad", timeout_ms=20_000), INTENT, exchange)
    assert isinstance(ended, Stopped)
    assert ended.reason == ReasonCode.KILLED.value


@pytest.mark.parametrize(
    ("line", "slowed"),
    [
        (b": anybody there\n", True),
        (b"\n", True),
        (b"unheard: of\n", True),
        (b"id: 7\n\n", True),
        (b"event: odd\ndata: {}\n\n", True),
        (b"data: no json\n\n", True),
        (b'data: {"jsonrpc":"2.0","id":"nobodys","result":{}}\n\n', True),
        (b"", False),
    ],
)
async def test_whatever_a_stream_says_that_is_no_answer_is_read_slowly(
    world: World, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, line: bytes, *, slowed: bool
) -> None:
    async def babbles(visit: Visit) -> None:
        visit.stream()
        visit.raw(line * 200)
        visit.raw(b": one line to keep the connection alive\n\n")
        visit.raw(b"data: " + orjson.dumps(visit.ok()) + b"\n\n")

    monkeypatch.setattr(link, "INTERIM_BURST_MAX", 20)
    scripted.tools["babbles"] = babbles
    upstreams = world.upstreams(http_binding(await scripted.start()))
    exchange = FakeExchange()
    assert text_of(await upstreams.execute(a_permit(name="babbles"), INTENT, exchange)) == "ok"
    assert (upstreams.counts("srv").get("paced", 0) > 0) is slowed


async def test_a_burst_of_messages_is_passed_on_in_portions(
    world: World, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, heard_s = asyncio.get_running_loop(), []

    class Listening(FakeExchange):
        async def notify(self, method: str, params: Any) -> None:
            heard_s.append(loop.time())

    async def reports(visit: Visit) -> None:
        visit.stream()
        event = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}\n\n'
        visit.raw(event * 3 * INTERIM_TOGETHER_MAX)
        visit.raw(b"data: " + orjson.dumps(visit.ok()) + b"\n\n")

    monkeypatch.setattr(link, "INTERIM_GAP_S", 0.2)
    scripted.tools["reports"] = reports
    upstreams = world.upstreams(http_binding(await scripted.start()))
    assert text_of(await upstreams.execute(a_permit(name="reports"), INTENT, Listening())) == "ok"
    firsts = heard_s[::INTERIM_TOGETHER_MAX]
    assert len(heard_s) == 3 * INTERIM_TOGETHER_MAX
    assert all(after - before > 0.15 for before, after in itertools.pairwise(firsts))


async def test_a_session_stream_of_comments_ends_the_session(
    world: World, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "UNSOLICITED_BURST_MAX", 50)
    closed = asyncio.Event()

    async def comments(visit: Visit) -> None:
        visit.stream()
        try:
            while not visit.writer.is_closing():
                visit.raw(b": nothing\n" * 100)
                await visit.writer.drain()
        finally:
            closed.set()

    scripted.session, scripted.on_get = "s-1", comments
    upstreams = world.upstreams(http_binding(await scripted.start()))
    assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, FakeExchange())) == "ok"
    await closed.wait()
    assert upstreams.counts("srv")["flooded"] > 0


def http_binding(port: int, **more: Any) -> ServerBinding:
    return ServerBinding(server="srv", kind=BindingKind.HTTP, url=f"http://127.0.0.1:{port}/mcp", **more)


async def test_an_unreachable_server_is_a_failure_without_effect(world: World, scripted: Scripted) -> None:
    port = await scripted.start()
    scripted.stop()
    outcome = await world.upstreams(http_binding(port)).execute(a_permit(), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert outcome.reason == ReasonCode.TOOL_UNREACHABLE.value


async def test_a_second_answer_on_one_connection_is_never_the_next_calls_answer(
    world: World, scripted: Scripted
) -> None:
    async def double(visit: Visit) -> None:
        visit.json(visit.ok("first"))
        visit.json({**visit.ok("planted"), "id": (visit.id or 0) + 1})

    scripted.tools["double"] = double
    upstreams = world.upstreams(http_binding(await scripted.start()))
    exchange = FakeExchange()
    assert text_of(await upstreams.execute(a_permit(name="double"), INTENT, exchange)) == "first"
    assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, exchange)) == "ok"


async def test_a_stream_that_breaks_is_taken_up_again_after_its_last_event(
    world: World, scripted: Scripted
) -> None:
    scripted.session = "abc"
    waiting: list[int] = []

    async def polled(visit: Visit) -> None:
        waiting.append(visit.id or 0)
        visit.stream()
        visit.raw(b"id: ev-1\nretry: 10\ndata:\n\n")
        visit.writer.close()

    async def resumed(visit: Visit) -> None:
        if visit.headers.get("last-event-id") != "ev-1":
            visit.answer(405, "text/plain", b"")
            return
        visit.stream()
        visit.id = waiting[0]
        visit.raw(b"id: ev-2\ndata: " + orjson.dumps(visit.ok("late")) + b"\n\n")
        visit.writer.close()

    scripted.tools["polled"], scripted.on_get = polled, resumed
    upstreams = world.upstreams(http_binding(await scripted.start()))
    assert text_of(await upstreams.execute(a_permit(name="polled"), INTENT, FakeExchange())) == "late"
    sent = [v for v in scripted.got if v.message.get("method") == "tools/call"]
    assert len(sent) == 1
    assert sent[0].headers["mcp-session-id"] == "abc"
    assert sent[0].headers["mcp-protocol-version"] == "2025-11-25"


async def test_what_the_session_stream_says_reaches_the_kernel_and_closing_deletes_the_session(
    world: World, scripted: Scripted
) -> None:
    scripted.session = "abc"

    async def updates(visit: Visit) -> None:
        visit.stream()
        note = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a://b"}}
        visit.raw(b"data: " + orjson.dumps(note) + b"\r\n\r\n")
        await visit.writer.drain()
        await asyncio.Event().wait()

    scripted.on_get = updates
    upstreams = world.upstreams(http_binding(await scripted.start()))
    assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, FakeExchange())) == "ok"
    while ("srv", "session-1", "notifications/resources/updated") not in world.events.heard:
        world.events.something.clear()
        await world.events.something.wait()
    scripted.deleted.clear()
    await upstreams.close_session("session-1")
    await scripted.deleted.wait()


async def test_a_session_that_the_server_forgot_is_opened_anew_for_the_next_call(
    world: World, scripted: Scripted
) -> None:
    scripted.session = "abc"

    async def forgot(visit: Visit) -> None:
        visit.answer(404, "text/plain", b"")

    scripted.tools["forgot"] = forgot
    upstreams = world.upstreams(http_binding(await scripted.start()))
    outcome = await upstreams.execute(a_permit(name="forgot"), INTENT, FakeExchange())
    assert isinstance(outcome, Failed)
    assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, FakeExchange())) == "ok"


async def test_headers_of_the_ward_are_sent_with_their_secrets(world: World, scripted: Scripted) -> None:
    port = await scripted.start()
    upstreams = world.upstreams(http_binding(port, headers={"Authorization": "Bearer ${secret:TOKEN}"}))
    assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, FakeExchange(Era.STATELESS))) == "ok"
    assert {visit.headers["authorization"] for visit in scripted.got} == {"Bearer s3cret-value"}


async def test_a_cancelled_call_tells_the_server_and_takes_no_connection_with_it(
    world: World, scripted: Scripted
) -> None:
    began = asyncio.Event()

    async def long(visit: Visit) -> None:
        began.set()
        await asyncio.Event().wait()

    scripted.tools["long"] = long
    upstreams = world.upstreams(http_binding(await scripted.start()))
    running = asyncio.ensure_future(upstreams.execute(a_permit(name="long"), INTENT, FakeExchange()))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    while not any(v.message.get("method") == "notifications/cancelled" for v in scripted.got):
        assert text_of(await upstreams.execute(a_permit(name="ok"), INTENT, FakeExchange())) == "ok"


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "both.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path


async def test_https_is_spoken_to_trusted_certificates_only(
    world: World, scripted: Scripted, tmp_path: Path
) -> None:
    pem = self_signed(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    url = f"https://127.0.0.1:{await scripted.start(serving)}/mcp"
    binding = ServerBinding(server="srv", kind=BindingKind.HTTP, url=url)
    refused = await world.upstreams(binding).execute(a_permit(name="ok"), INTENT, FakeExchange())
    assert isinstance(refused, Failed)
    assert "certificate" in refused.message
    assert scripted.got == []
    trusting = world.upstreams(binding, tls=ssl.create_default_context(cafile=pem))
    assert text_of(await trusting.execute(a_permit(name="ok"), INTENT, FakeExchange())) == "ok"
