"""Bytes between a client that was allowed and its destination: named, framed, counted and timed."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine
from typing import Any, Final

from toolward.adapters.egress.bounds import CHUNK_BYTES
from toolward.adapters.egress.terms import Terms
from toolward.model.egress import Destination, EgressCode, Refusal
from toolward.ports.egress import EgressRefused
from toolward.rules.egress.client_hello import Malformed, Named, NeedsMore, Unnamed, read_client_hello
from toolward.rules.egress.request import CHUNKED, ForwardRequest

TLS_PORT: Final = 443
"""Here everything must be TLS; elsewhere whatever begins like it is read as TLS."""
TLS_FIRST_BYTE: Final = 0x16
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_UNRECOGNIZED_NAME: Final = bytes((0x15, 3, 3, 0, 2, 2, 112))
"""A fatal TLS alert: the client then says what was wrong rather than that the connection broke."""
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Passage:
    """A client's connection and one to a vetted address. `close` it in any case.

    `tunnel` and `forward` raise `EgressRefused` where they cut it, and `OSError` where a side went away.
    """

    def __init__(
        self,
        terms: Terms,
        destination: Destination,
        *,
        client: Streams,
        server: Streams,
    ) -> None:
        self.answered = False  # the client has got a byte
        self.bytes_out = 0
        self.bytes_in = 0
        self.encrypted_hello = False
        self._terms = terms
        self._destination = destination
        self._client, self._to_client = client
        self._server, self._to_server = server
        self._timer = asyncio.timeout(None)
        self._until_s = asyncio.get_running_loop().time() + terms.limits.total_timeout_s

    async def close(self) -> None:
        """Let go of the destination, at once."""
        self._to_server.transport.abort()
        with contextlib.suppress(OSError):
            await self._to_server.wait_closed()

    async def tunnel(self) -> None:
        """Pass bytes both ways until both sides have ended, once the client asked for the right server."""
        self.answered = True
        self._to_client.write(_ESTABLISHED)
        await self._timed(self._upward(), self._downward(), until=asyncio.ALL_COMPLETED)

    async def forward(self, request: ForwardRequest) -> None:
        """Send one request, its body as framed and not a byte more, and pass on what comes until its end."""
        await self._timed(self._send(request), self._downward(), until=asyncio.FIRST_COMPLETED)

    # --- both ways at once

    async def _timed(
        self, up: Coroutine[Any, Any, None], down: Coroutine[Any, Any, None], *, until: str
    ) -> None:
        """Both, within the limits of time. With `FIRST_COMPLETED` the end of `down` is the end."""
        loop = asyncio.get_running_loop()
        both = [loop.create_task(up), loop.create_task(down)]
        waits_for = set(both) if until == asyncio.ALL_COMPLETED else {both[1]}
        try:
            async with self._timer:
                self._touch()
                while waits_for - {task for task in both if task.done()}:
                    done, _ = await asyncio.wait(
                        [task for task in both if not task.done()], return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        task.result()
        except TimeoutError as late:
            raise EgressRefused(_TOO_LONG) from late
        finally:
            for task in both:
                task.cancel()
            _ = await asyncio.gather(*both, return_exceptions=True)

    def _touch(self) -> None:
        """Something moved: the idle limit begins anew, the total one stands."""
        now_s = asyncio.get_running_loop().time()
        if not self._timer.expired():
            self._timer.reschedule(min(now_s + self._terms.limits.idle_timeout_s, self._until_s))

    async def _out(self, data: bytes) -> None:
        self._terms.book_out(self._destination, len(data))
        self.bytes_out += len(data)
        self._to_server.write(data)
        await self._to_server.drain()
        self._touch()

    async def _downward(self) -> None:
        while data := await self._server.read(CHUNK_BYTES):
            self._terms.book_in(self._destination, len(data))
            self.bytes_in += len(data)
            self.answered = True
            self._to_client.write(data)
            await self._to_client.drain()
            self._touch()
        self._to_client.write_eof()

    # --- a tunnel

    async def _upward(self) -> None:
        first = await self._first_flight()
        if first:
            await self._out(first)
            while data := await self._client.read(CHUNK_BYTES):
                await self._out(data)
        self._to_server.write_eof()

    async def _first_flight(self) -> bytes:
        """The client's first bytes, held back until it is known which server they ask for."""
        must = self._destination.port == TLS_PORT
        limit_s = self._terms.limits.hello_timeout_s
        data = b""
        try:
            async with asyncio.timeout(limit_s if must else None) as timer:
                while more := await self._client.read(CHUNK_BYTES):
                    data += more
                    if not must and data[0] != TLS_FIRST_BYTE:
                        return data
                    if self._named_rightly(data):
                        return data
                    if timer.when() is None:
                        timer.reschedule(asyncio.get_running_loop().time() + limit_s)
        except TimeoutError as late:
            raise EgressRefused(_TOO_LONG) from late
        if data:
            raise EgressRefused(_not_tls("it ends within its client hello"))
        return b""

    def _named_rightly(self, data: bytes) -> bool:
        """False while that can not be said yet. Raises `EgressRefused`."""
        right = False
        match read_client_hello(data):
            case NeedsMore():
                return False
            case Malformed(why=why):
                raise EgressRefused(_not_tls(why))
            case Named(name=name, encrypted=encrypted):
                self.encrypted_hello = encrypted
                right = not self._destination.literal and name == self._destination.host
            case Unnamed(encrypted=encrypted):
                self.encrypted_hello = encrypted
                right = self._destination.literal  # RFC 6066: an address is not named
        if not right:
            self._to_client.write(_UNRECOGNIZED_NAME)
            raise EgressRefused(
                Refusal(
                    EgressCode.NAME_MISMATCH,
                    f"the tls client in a connection to {self._destination} asks for another server",
                    "connect to the server that is named in tls, and have that one granted",
                )
            )
        return True

    # --- one request

    async def _send(self, request: ForwardRequest) -> None:
        try:
            await self._out(request.head)
            if request.length == CHUNKED:
                await self._send_chunks()
            else:
                await self._send_bytes(request.length)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as wrong:
            raise EgressRefused(_BAD_BODY) from wrong

    async def _send_bytes(self, size: int) -> None:
        while size:
            data = await self._client.read(min(size, CHUNK_BYTES))
            if not data:
                raise EgressRefused(_BAD_BODY)
            size -= len(data)
            await self._out(data)

    async def _send_chunks(self) -> None:
        """Chunks, written anew: no extensions, no trailers, which readers treat differently."""
        while True:
            line = _CHUNK_SIZE.fullmatch(await self._client.readuntil(b"\r\n"))
            if line is None:
                raise EgressRefused(_BAD_BODY)
            size = int(line[1], 16)
            if size:
                await self._out(b"%x\r\n" % size)
                await self._send_bytes(size)
            if await self._client.readexactly(2) != b"\r\n":
                raise EgressRefused(_BAD_BODY)
            await self._out(b"\r\n" if size else b"0\r\n\r\n")
            if not size:
                return


_TOO_LONG: Final = Refusal(
    EgressCode.TIMED_OUT, "nothing moved for too long, or all of it took too long", "ask for less at a time"
)
_BAD_BODY: Final = Refusal(
    EgressCode.MALFORMED, "the body is not framed as its head says", "send one plain HTTP/1.1 request"
)


def _not_tls(why: str) -> Refusal:
    return Refusal(
        EgressCode.NOT_TLS,
        f"what was sent through the tunnel is not tls: {why}",
        "speak tls through `CONNECT`, or ask for an `http://` url",
    )
