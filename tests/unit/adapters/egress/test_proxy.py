"""The egress proxy over real sockets, beside a naive proxy that shows what each attack reaches without it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from egress_world import Heard, Names
from toolward.adapters.egress import passage, visit
from toolward.adapters.egress.bounds import EgressLimits
from toolward.adapters.egress.proxy import EgressProxy
from toolward.model.egress import EgressCode, Grant, Whose
from toolward.rules.egress.destination import parse_grant

WHOSE = Whose("srv", "session-1", "call-1")


class Web:
    """An HTTP server on one loopback address that says who it is and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answer = b""
        self.stubborn = False  # keeps the connection, whatever it was asked
        self.ended = asyncio.Event()

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> int:
        self._server = await asyncio.start_server(self._talk, address, port)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if b"chunked" in self.heads[-1]:
                    self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
                elif b"content-length: " in self.heads[-1].lower():
                    size = int(self.heads[-1].lower().split(b"content-length: ")[1].split(b"\r")[0])
                    self.bodies.append(await reader.readexactly(size))
                body = self.answer or f"{self.name} answers".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
                if b"connection: close" in self.heads[-1].lower() and not self.stubborn:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class NaiveProxy:
    """What one writes in an afternoon: looks at the name, resolves when it needs to, copies bytes."""

    def __init__(self, allowed: str, names: Names) -> None:
        self.allowed, self.names = allowed, names

    async def listen_on_loopback(self) -> int:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        host, _, port = target.removeprefix("http://").partition("/")[0].partition(":")
        answers = await self.names.resolve(host, int(port))  # looked up to be looked at ...
        if self.allowed not in host or answers[0].startswith("169.254."):
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            writer.close()
            return
        answers = await self.names.resolve(host, int(port))  # ... and again to connect
        up_reader, up_writer = await asyncio.open_connection(answers[0], int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            up_writer.write(head.replace(f"http://{host}:{port}".encode(), b""))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))


class Place:
    """A proxy, the servers behind it, and what became known."""

    def __init__(self) -> None:
        self.names = Names(api_good_example=["127.0.0.1"])
        self.heard = Heard()
        self.web = Web("the server")
        self.port = 0
        self._closing: list[EgressProxy | NaiveProxy] = []

    def grant(self, text: str, *, unsafe_private: bool = True) -> Grant:
        return parse_grant(f"{text}:{self.port}", unsafe_private=unsafe_private)

    async def proxy(self, *grants: Grant, limits: EgressLimits | None = None) -> int:
        made = EgressProxy(
            grants or [self.grant("api.good.example")],
            whose=WHOSE,
            signals=self.heard,
            resolver=self.names,
            limits=limits,
        )
        self._closing.append(made)
        return await made.listen_on_loopback()

    async def naive(self, allowed: str = ".example") -> int:
        made = NaiveProxy(allowed, self.names)
        self._closing.append(made)
        return await made.listen_on_loopback()

    async def close(self) -> None:
        self.web.stop()
        for each in self._closing:
            await each.close()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    made.port = await made.web.start()
    async with asyncio.timeout(30):
        yield made
        await made.close()


async def say(port: int, data: bytes, *, until: bytes = b"") -> bytes:
    """What the proxy at `port` answers to `data`, to the end or to `until`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if until:
            return await reader.readuntil(until)
        return await reader.read(-1)
    except ConnectionResetError:
        return b"(reset)"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def get(port: int, host: str = "api.good.example", *more: str) -> bytes:
    lines = [f"GET http://{host}:{port}/x HTTP/1.1", f"Host: {host}:{port}", *more, "", ""]
    return "\r\n".join(lines).encode()


def connect(port: int, host: str = "api.good.example") -> bytes:
    return f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode()


# --- what is granted works ---------------------------------------------------------------------------


async def test_a_granted_request_is_answered_and_told_of(place: Place) -> None:
    answer = await say(await place.proxy(), get(place.port))
    assert answer.endswith(b"the server answers")
    ended = await place.heard.until_ended()
    (judged,) = place.heard.judgements
    assert (judged.whose, judged.host, judged.port) == (WHOSE, "api.good.example", place.port)
    assert (judged.verdict, judged.code, judged.bytes_out) == ("allowed", EgressCode.OK, 0)
    assert (ended.verdict, ended.code) == ("allowed", EgressCode.OK)
    assert ended.bytes_out == len(place.web.heads[0])
    assert ended.bytes_in == len(answer)
    assert place.names.asked == ["api.good.example"]


async def test_a_tunnel_passes_bytes_both_ways_until_both_sides_end(place: Place) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await place.proxy())
    writer.write(connect(place.port))
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    for _ in range(3):
        writer.write(b"GET /y HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"answers")).endswith(b"the server answers")
    writer.write_eof()
    assert await reader.read(-1) == b""
    writer.close()
    await writer.wait_closed()
    assert (await place.heard.until_ended()).code is EgressCode.OK
    assert len(place.web.heads) == 3


@pytest.mark.parametrize(
    ("framing", "body", "sent_on"),
    [
        ("Content-Length: 5", b"hello", b"hello"),
        (
            "Transfer-Encoding: chunked",
            b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ),
        ("Transfer-Encoding: chunked", b"00A\r\nhellohello\r\n0\r\n\r\n", b"a\r\nhellohello\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_is_sent_on_as_it_was_framed(
    place: Place, framing: str, body: bytes, sent_on: bytes
) -> None:
    head = get(place.port, "api.good.example", framing).replace(b"GET", b"POST")
    assert b"answers" in await say(await place.proxy(), head + body)
    assert place.web.bodies == [sent_on]


@pytest.mark.parametrize(
    "body", [b"x\r\n", b"3;ext=1\r\nhel\r\n", b"3\r\nhello\r\n", b"0\r\nTrailer: 1\r\n\r\n"]
)
async def test_a_body_that_readers_frame_differently_is_cut(place: Place, body: bytes) -> None:
    head = get(place.port, "api.good.example", "Transfer-Encoding: chunked").replace(b"GET", b"POST")
    assert b"egress_malformed" in await say(await place.proxy(), head + body)
    ended = await place.heard.until_ended()
    assert (ended.verdict, ended.code) == ("refused", EgressCode.MALFORMED)
    assert place.web.bodies == []


async def test_a_listener_of_another_kind_serves_alike(place: Place, tmp_path: Path) -> None:
    async with EgressProxy(
        [place.grant("api.good.example")], whose=WHOSE, signals=place.heard, resolver=place.names
    ) as proxy:
        await proxy.listen_on_unix(tmp_path / "out.sock")
        assert (tmp_path / "out.sock").stat().st_mode & 0o777 == 0o600
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "out.sock"))
        writer.write(get(place.port))
        assert (await reader.read(-1)).endswith(b"answers")
        writer.close()
        await writer.wait_closed()
        handed_over = socket.create_server(("127.0.0.1", 0))
        await proxy.serve(handed_over)
        assert b"answers" in await say(handed_over.getsockname()[1], get(place.port))


# --- what is not granted -----------------------------------------------------------------------------


async def test_a_refusal_says_what_to_do_and_is_told_of(place: Place) -> None:
    answer = await say(await place.proxy(), connect(443, "evil.example"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain; charset=utf-8")
    assert body == (
        b"egress_denied: evil.example:443 is not granted to this tool; "
        b"grant it in the manifest under capabilities.network\n"
    )
    (judged,) = place.heard.judgements
    assert (judged.verdict, judged.host, judged.code) == ("refused", "evil.example", EgressCode.NOT_GRANTED)
    assert place.heard.ends == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("evil.test:443", 403),
        ("api.good.example:22", 403),
        ("169.254.169.254:80", 403),
        ("2852039166:80", 403),
        ("0xa9.0xfe.0xa9.0xfe:80", 403),
        ("0177.0.0.1:18080", 403),
        ("[::1]:18080", 403),
        ("meta.example:80", 403),
        ("mapped.example:80", 403),
        ("nat64.example:80", 403),
        ("mixed.example:80", 403),
        ("api.good.example.evil.test:18080", 403),
        ("evilapi.good.example:18080", 403),
        ("wild.example:443", 403),
        ("api.good.example@evil.test:18080", 403),
        ("api.good.example\0.evil.test:18080", 400),
        ("api。good。example:18080", 400),
        ("c2VjcmV0.evil.test:443", 403),
    ],
)
async def test_the_targets_of_the_sheet_are_refused(place: Place, target: str, status: int) -> None:
    place.names.answers |= {
        "meta.example": [["169.254.169.254"]],
        "mapped.example": [["::ffff:10.0.0.5"]],
        "nat64.example": [["64:ff9b::a9fe:a9fe"]],
        "mixed.example": [["8.8.8.8", "10.0.0.1"]],
    }
    granted = [f"{name}.example:80" for name in ("meta", "mapped", "nat64", "mixed")]
    proxy = await place.proxy(*map(parse_grant, [*granted, "api.good.example:18080", "*.wild.example:443"]))
    answer = await say(proxy, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    asked = [target.partition(":")[0]] if target.partition(":")[0] in place.names.answers else []
    assert place.names.asked == (asked if target.endswith(":80") else [])
    assert place.web.heads == []


@pytest.mark.parametrize("host", ["API.GOOD.EXAMPLE", "api.good.example."])
async def test_spellings_of_a_granted_name_are_granted(place: Place, host: str) -> None:
    answer = await say(await place.proxy(), connect(place.port, host), until=b"\r\n\r\n")
    assert b" 200 " in answer


@pytest.mark.parametrize(
    "request_text",
    [
        "GET http://api.good.example:{port}/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET http://api.good.example:{port}/ HTTP/1.1\r\nHost: api.good.example:{port}\r\nX: 1\r\n 2\r\n\r\n",
        "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nTE: x\r\nContent-Length: 1\r\n\r\n",
        "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.good.example:{port}\r\n\r\n",
        "GET http://api.good.example:{port}/ HTTP/1.1\r\nX: " + "x" * 20_000 + "\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_answered_with_400(place: Place, request_text: str) -> None:
    answer = await say(await place.proxy(), request_text.format(port=place.port).encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"egress_malformed" in answer
    assert place.web.heads == []
    assert place.names.asked == []


# --- attacks, with what they reach without the defence -----------------------------------------------


async def test_a_query_is_no_way_out(place: Place) -> None:
    secret = "c2VjcmV0.tunnel.test"
    await say(await place.proxy(), connect(443, secret))
    assert place.names.asked == []
    place.names.answers[secret] = [["127.0.0.1"]]
    await say(await place.naive(), connect(443, secret))  # control: the query itself has told it
    assert place.names.asked == [secret]


async def test_a_name_that_turns_after_it_was_judged_is_dialled_as_it_was_judged(place: Place) -> None:
    internal = Web("the internal server")
    await internal.start("127.0.0.2", place.port)
    try:
        place.names.turns("api.good.example", ["127.0.0.1"], ["127.0.0.2"])
        naive = await say(await place.naive(), get(place.port, "api.good.example", "Connection: close"))
        assert b"the internal server answers" in naive  # control
        place.names.asked.clear()
        place.names.turns("api.good.example", ["127.0.0.1"], ["127.0.0.2"])
        assert b"the server answers" in await say(await place.proxy(), get(place.port))
        assert place.names.asked == ["api.good.example"]
        assert len(internal.heads) == 1
    finally:
        internal.stop()


async def test_a_public_name_that_leads_inside_reaches_nothing(place: Place) -> None:
    place.names.answers["rebind.example"] = [["127.0.0.1"]]
    ask = get(place.port, "rebind.example", "Connection: close")
    assert b"answers" in await say(await place.naive(), ask)  # control
    proxy = await place.proxy(place.grant("rebind.example", unsafe_private=False))
    answer = await say(proxy, ask)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"egress_forbidden_address: rebind.example" in answer
    assert b"`unsafe_private`" in answer
    assert len(place.web.heads) == 1


async def test_one_forbidden_answer_among_good_ones_refuses_them_all(place: Place) -> None:
    place.names.answers["api.good.example"] = [["127.0.0.1", "169.254.169.254"]]
    assert b"egress_forbidden_address" in await say(await place.proxy(), get(place.port))
    assert b"answers" in await say(
        await place.naive(), get(place.port, "api.good.example", "Connection: close")
    )


async def test_a_second_request_behind_the_first_is_not_sent_on(place: Place) -> None:
    second = b"GET /secret HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"
    await say(await place.naive(), get(place.port) + second)
    assert [b"other.example" in head for head in place.web.heads] == [False, True]  # control
    place.web.heads.clear()
    place.web.stubborn = True
    proxy = await place.proxy(limits=EgressLimits(idle_timeout_s=0.2))
    assert (await say(proxy, get(place.port) + second)).count(b"answers") == 1
    assert [b"other.example" in head for head in place.web.heads] == [False]


# --- limits ------------------------------------------------------------------------------------------


async def test_bytes_out_are_bounded_over_all_connections_to_a_destination(place: Place) -> None:
    limits = EgressLimits(out_bytes_max=1_000)
    proxy = await place.proxy(limits=limits)
    head = get(place.port, "api.good.example", "Content-Length: 600").replace(b"GET", b"POST")
    assert b"answers" in await say(proxy, head + b"x" * 600)
    assert b"egress_over_budget" in await say(proxy, head + b"x" * 600)
    ended = await place.heard.until_ended(2)
    assert (ended.verdict, ended.code) == ("refused", EgressCode.OVER_BUDGET)
    assert sum(event.bytes_out for event in place.heard.ends) <= 1_000
    assert len(place.web.bodies) == 1


async def test_bytes_in_are_bounded(place: Place) -> None:
    place.web.answer = b"x" * 500_000
    answer = await say(await place.proxy(limits=EgressLimits(in_bytes_max=100_000)), get(place.port))
    assert len(answer) <= 100_000 + 200
    assert (await place.heard.until_ended()).code is EgressCode.OVER_BUDGET


async def test_a_wildcard_does_not_grant_names_without_end(place: Place) -> None:
    proxy = await place.proxy(parse_grant("*.wild.example:443"), limits=EgressLimits(destinations_max=2))
    for number in range(4):
        await say(proxy, connect(443, f"n{number}.wild.example"))
    assert [event.code for event in place.heard.judgements] == [
        EgressCode.UNRESOLVED,
        EgressCode.UNRESOLVED,
        EgressCode.OVER_BUDGET,
        EgressCode.OVER_BUDGET,
    ]
    assert place.names.asked == ["n0.wild.example", "n1.wild.example"]


async def test_connections_at_once_are_bounded(place: Place) -> None:
    proxy = await place.proxy(limits=EgressLimits(connections_max=1))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    writer.write(connect(place.port))
    await reader.readuntil(b"\r\n\r\n")
    assert b"egress_overloaded" in await say(proxy, get(place.port))
    writer.close()
    await writer.wait_closed()
    await place.heard.until_ended()


@pytest.mark.parametrize(
    ("limits", "request_bytes"),
    [
        (EgressLimits(header_timeout_s=0.05), b"GET http://api.good"),
        (EgressLimits(header_timeout_s=0.05), b""),
    ],
)
async def test_a_request_that_does_not_come_is_not_waited_for(
    place: Place, limits: EgressLimits, request_bytes: bytes
) -> None:
    answer = await say(await place.proxy(limits=limits), request_bytes, until=b"\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "limits", [EgressLimits(idle_timeout_s=0.05), EgressLimits(total_timeout_s=0.05)], ids=["idle", "total"]
)
async def test_a_silent_tunnel_is_cut(place: Place, limits: EgressLimits) -> None:
    answer = await say(await place.proxy(limits=limits), connect(place.port))
    assert answer.endswith(b"\r\n\r\n")
    ended = await place.heard.until_ended()
    assert (ended.verdict, ended.code) == ("refused", EgressCode.TIMED_OUT)


# --- failing closed ----------------------------------------------------------------------------------


async def test_nothing_leaves_that_can_not_be_written_down(place: Place) -> None:
    proxy = await place.proxy()
    place.heard.broken = True
    assert (await say(proxy, get(place.port))).startswith(b"HTTP/1.1 503 ")
    place.heard.broken = False
    assert b"egress_unrecorded" in await say(proxy, get(place.port))
    assert place.web.heads == []


async def test_a_connection_is_dialled_only_once_it_is_on_the_disk(place: Place) -> None:
    place.heard.durable.clear()
    asking = asyncio.create_task(say(await place.proxy(), get(place.port)))
    await place.heard.asked.wait()
    assert b"200 OK" in await say(place.port, b"GET /knock HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert [head.split()[1] for head in place.web.heads] == [b"/knock"]  # accepted in order: only ours
    place.heard.durable.set()
    assert b"the server answers" in await asking
    assert place.names.asked == ["api.good.example"]


async def test_a_connection_whose_cage_ends_while_it_is_written_down_is_not_dialled(place: Place) -> None:
    place.heard.durable.clear()
    proxy = EgressProxy(
        [place.grant("api.good.example")], whose=WHOSE, signals=place.heard, resolver=place.names
    )
    asking = asyncio.create_task(say(await proxy.listen_on_loopback(), get(place.port)))
    await place.heard.asked.wait()
    await proxy.close()
    ended = await place.heard.until_ended()
    assert (ended.code, ended.bytes_out, place.web.heads) == (EgressCode.CLOSED, 0, [])
    with contextlib.suppress(OSError):
        await asking


async def test_a_resolver_that_breaks_refuses(place: Place) -> None:
    place.names.answers["api.good.example"] = []  # an IndexError within
    answer = await say(await place.proxy(), get(place.port))
    assert b"egress_broken" in answer
    assert [event.verdict for event in place.heard.judgements] == ["refused"]


async def test_who_can_not_be_reached_is_said(place: Place) -> None:
    place.web.stop()
    answer = await say(await place.proxy(), connect(place.port))
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"egress_unreachable" in answer
    ended = await place.heard.until_ended()
    assert (ended.verdict, ended.code) == ("allowed", EgressCode.UNREACHABLE)
    assert b"egress_unresolved" in await say(
        await place.proxy(parse_grant("none.example:443")), connect(443, "none.example")
    )


async def test_closing_ends_what_is_open_and_tells_of_it(place: Place) -> None:
    proxy = EgressProxy(
        [place.grant("api.good.example")], whose=WHOSE, signals=place.heard, resolver=place.names
    )
    port = await proxy.listen_on_loopback()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connect(place.port))
    await reader.readuntil(b"\r\n\r\n")
    await proxy.close()
    assert [event.code for event in place.heard.ends] == [EgressCode.CLOSED]
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(-1) == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_plain_text_through_a_tunnel_for_tls_is_cut(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = connect(place.port) + b"GET /x HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"
    assert b"answers" in await say(await place.proxy(), ask)  # control: as on any other port
    monkeypatch.setattr(passage, "TLS_PORT", place.port)
    assert b"answers" not in await say(await place.proxy(), ask)
    assert (await place.heard.until_ended(2)).code is EgressCode.NOT_TLS
    assert len(place.web.heads) == 1


def test_every_refusal_before_the_answer_has_its_status() -> None:
    assert set(visit._STATUS) < set(EgressCode)
