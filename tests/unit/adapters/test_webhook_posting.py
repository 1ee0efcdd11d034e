"""Messages to places outside, over real sockets: what is sent, what is not followed, and where nothing may go."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.certificates import GOOD, certificate

from egress_world import Heard
from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.webhooks import posting
from toolward.adapters.webhooks.posting import PostingOutbox
from toolward.ports.egress import EgressRefused, Resolver
from toolward.ports.webhooks import Message

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class FixedResolver(Resolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return self.addresses


class Place:
    """A server that remembers what it got."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.got: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.got.append(head + await reader.readexactly(size))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(place: Answer) -> AsyncIterator[int]:
    server = await asyncio.start_server(place, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def outbox(*addresses: str) -> PostingOutbox:
    return PostingOutbox(VettedConnector(Heard(), FixedResolver(*addresses)))


async def test_a_message_arrives_whole_and_the_status_comes_back() -> None:
    place = Place(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with serving(place) as port:
        message = Message(url=f"http://127.0.0.1:{port}/in?a=1", headers={"webhook-id": "m"}, body=b"{}")
        assert await outbox().post(message) == 204
    [got] = place.got
    assert got.startswith(b"POST /in?a=1 HTTP/1.1\r\n")
    assert b"webhook-id: m\r\n" in got
    assert f"Host: 127.0.0.1:{port}".encode() in got
    assert got.endswith(b"\r\n\r\n{}")


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    place = Place(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
    async with serving(place) as port:
        assert await outbox().post(Message(url=f"http://127.0.0.1:{port}/", headers={}, body=b"")) == 307
    assert len(place.got) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
async def test_a_name_that_leads_inside_is_refused_unless_the_ward_says_so(address: str) -> None:
    message = Message(url="http://hooks.example:9/", headers={}, body=b"")
    with pytest.raises(EgressRefused):
        await outbox(address).post(message)


async def test_a_name_of_ones_own_network_is_reached_where_the_ward_says_so() -> None:
    """The control of the test above."""
    place = Place(b"HTTP/1.1 200 OK\r\n\r\n")
    async with serving(place) as port:
        url = f"http://hooks.example:{port}/"
        message = Message(url=url, headers={}, body=b"", private_network=True)
        assert await outbox("127.0.0.1").post(message) == 200


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n", b"x" * 10_000])
async def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    async with serving(Place(answer)) as port:
        with pytest.raises(OSError, match="no http"):
            await outbox().post(Message(url=f"http://127.0.0.1:{port}/", headers={}, body=b""))


async def test_who_never_answers_is_not_waited_for_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.05)
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()
        gone.set()

    async with serving(silent) as port:
        with pytest.raises(TimeoutError):
            await outbox().post(Message(url=f"http://127.0.0.1:{port}/", headers={}, body=b""))
        await gone.wait()
        await asyncio.sleep(0)  # the transport lets go of its socket


async def test_no_header_can_be_smuggled_in() -> None:
    place = Place(b"HTTP/1.1 200 OK\r\n\r\n")
    async with serving(place) as port:
        with pytest.raises(OSError, match="line break"):
            await outbox().post(
                Message(url=f"http://127.0.0.1:{port}/", headers={"a": "b\r\nc: d"}, body=b"")
            )
    assert place.got == []


class TlsPlace:
    """Three connections, each answered if its handshake holds."""

    def __init__(self, pem: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.got = 0

    def serve(self) -> None:
        with self._listener:
            for _ in range(3):
                raw, _ = self._listener.accept()
                with (
                    raw,
                    contextlib.suppress(OSError),
                    self._context.wrap_socket(raw, server_side=True) as it,
                ):
                    self.got += bool(it.recv(65_536))
                    it.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


async def test_over_tls_the_place_has_to_be_the_one_that_was_named(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    place = TlsPlace(pem)
    serving = asyncio.create_task(asyncio.to_thread(place.serve))
    connector = VettedConnector(Heard(), FixedResolver("127.0.0.1"))
    trusting = PostingOutbox(connector, trust=ssl.create_default_context(cafile=pem))

    def message_to(host: str) -> Message:
        url = f"https://{host}:{place.port}/"
        return Message(url=url, headers={}, body=b"x", private_network=True)

    assert await trusting.post(message_to(GOOD)) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        await trusting.post(message_to("other.example"))
    with pytest.raises(ssl.SSLCertVerificationError):  # nobody vouches for it
        await PostingOutbox(connector).post(message_to(GOOD))
    await serving
    assert place.got == 1
