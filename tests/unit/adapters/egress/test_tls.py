"""TLS through the proxy from end to end: the server that is asked for must be the one that was granted."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certificates import EVIL, GOOD, certificate
from egress_world import Heard, Names, in_records
from toolward.adapters.egress import passage
from toolward.adapters.egress.bounds import EgressLimits
from toolward.adapters.egress.proxy import EgressProxy
from toolward.model.egress import EgressCode, Whose
from toolward.rules.egress.destination import parse_grant


class Shared:
    """A TLS server for two names that says which one it was asked for, and a proxy that grants one."""

    def __init__(self, pem: Path) -> None:
        self.names = Names(**{GOOD.replace(".", "_"): ["127.0.0.1"]})
        self.heard = Heard()
        self.asked: list[str | None] = []
        self.trust = ssl.create_default_context(cafile=pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.sni_callback = lambda _socket, name, _context: self.asked.append(name)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._context)
        self.port = int(self._server.sockets[0].getsockname()[1])
        grants = [parse_grant(f"{GOOD}:{self.port}", unsafe_private=True)]
        grants.append(parse_grant(f"127.0.0.1:{self.port}", unsafe_private=True))
        self.proxy = EgressProxy(
            grants,
            whose=Whose("srv"),
            signals=self.heard,
            resolver=self.names,
            limits=EgressLimits(hello_timeout_s=0.5),
        )
        self.proxy_port = await self.proxy.listen_on_loopback()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readline()
            writer.write(f"you asked {self.asked[-1]}\n".encode())
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def close(self) -> None:
        self._server.close()
        await self.proxy.close()

    async def tunnel(self, host: str = GOOD) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Streams through the proxy to `host`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.proxy_port)
        writer.write(f"CONNECT {host}:{self.port} HTTP/1.1\r\n\r\n".encode())
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        return reader, writer


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Shared]:
    made = Shared(certificate(tmp_path))
    await made.start()
    async with asyncio.timeout(30):
        yield made
        await made.close()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, trust: ssl.SSLContext
) -> bytes:
    """Shake hands with `name` over these streams, and what it then says."""
    try:
        await writer.start_tls(trust, server_hostname=name)
        writer.write(b"hello\n")
        return await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_the_granted_server_is_reached(shared: Shared) -> None:
    assert await ask(*await shared.tunnel(), GOOD, shared.trust) == b"you asked api.good.example\n"
    ended = await shared.heard.until_ended()
    assert (ended.verdict, ended.code) == ("allowed", EgressCode.OK)
    assert ended.bytes_out > 300
    assert ended.bytes_in > 300


async def test_another_server_behind_the_same_address_is_not_reached(shared: Shared) -> None:
    direct = await asyncio.open_connection("127.0.0.1", shared.port)
    assert await ask(*direct, EVIL, shared.trust) == b"you asked evil.example\n"  # control
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        await ask(*await shared.tunnel(), EVIL, shared.trust)
    assert shared.asked == [EVIL]
    ended = await shared.heard.until_ended()
    assert (ended.verdict, ended.code, ended.bytes_out) == ("refused", EgressCode.NAME_MISMATCH, 0)


async def test_no_name_at_all_is_not_the_granted_name(shared: Shared) -> None:
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    direct = await asyncio.open_connection("127.0.0.1", shared.port)
    assert await ask(*direct, "127.0.0.1", anyone) == b"you asked None\n"  # control: an address is not named
    with pytest.raises(ssl.SSLError):
        await ask(*await shared.tunnel(), "127.0.0.1", anyone)
    assert await ask(*await shared.tunnel("127.0.0.1"), "127.0.0.1", anyone) == b"you asked None\n"


async def handshake(shared: Shared, sizes: list[int], step: int) -> bytes:
    """Shake hands with the hello cut into records of `sizes`, written `step` bytes at a time."""
    reader, writer = await shared.tunnel()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = shared.trust.wrap_bio(incoming, outgoing, server_hostname=GOOD)
    first = True
    try:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                flight = outgoing.read()
                flight, first = (in_records(flight, sizes) if first else flight), False
                for at in range(0, len(flight), step):
                    writer.write(flight[at : at + step])
                    await writer.drain()
                incoming.write(await reader.read(65_536))
        client.write(b"hello\n")
        writer.write(outgoing.read())
        while True:
            try:
                return client.read(100)
            except ssl.SSLWantReadError:
                incoming.write(await reader.read(65_536))
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    ("sizes", "step"),
    [([], 10_000), ([], 1), ([], 7), ([1, 3, 1, 40, 100], 10_000), ([1, 1, 1, 1, 1, 30], 3)],
    ids=["whole", "byte by byte", "small writes", "several records", "records and writes"],
)
async def test_a_hello_that_arrives_in_pieces_is_waited_for(
    shared: Shared, sizes: list[int], step: int
) -> None:
    assert await handshake(shared, sizes, step) == b"you asked api.good.example\n"


async def test_a_hello_that_never_ends_is_cut(shared: Shared) -> None:
    reader, writer = await shared.tunnel()
    writer.write(b"\x16\x03\x01\x02\x00\x01")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(-1) == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    ended = await shared.heard.until_ended()
    assert (ended.code, ended.bytes_out) == (EgressCode.TIMED_OUT, 0)


async def test_a_hello_that_is_broken_off_is_not_sent_on(shared: Shared) -> None:
    reader, writer = await shared.tunnel()
    writer.write(b"\x16\x03\x01\x02\x00\x01")
    writer.write_eof()
    assert await reader.read(-1) == b""
    writer.close()
    await writer.wait_closed()
    ended = await shared.heard.until_ended()
    assert (ended.code, ended.bytes_out) == (EgressCode.NOT_TLS, 0)


async def test_on_the_port_of_tls_everything_is_tls(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "TLS_PORT", shared.port)
    assert await ask(*await shared.tunnel(), GOOD, shared.trust) == b"you asked api.good.example\n"
    reader, writer = await shared.tunnel()
    writer.write(b"SSH-2.0-x\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(-1) == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    assert (await shared.heard.until_ended(2)).code is EgressCode.NOT_TLS
