"""HTTP/1.1 GET over a judged connection, with a bound on everything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httptools

from toolward.model.egress import Refusal, Whose
from toolward.ports.egress import Connector, EgressRefused
from toolward.rules.egress.destination import upstream_grant

TIMEOUT_S: Final = 20.0
"""For one answer as a whole: a registry that dribbles holds nothing up for longer."""
_CHUNK: Final = 64 * 1024


class Fetching:
    """Each request has a connection of its own: they are few. Redirects are answers like any other."""

    def __init__(self, connector: Connector, *, tls: Callable[[], ssl.SSLContext]) -> None:
        self._connector = connector
        self._tls = tls

    async def get(self, url: str, *, whose: str, private_network: bool, bytes_max: int) -> bytes:
        """The body of a 200. Raises `OSError` for every other answer, `EgressRefused`, `TimeoutError`."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self._get(url, Whose(server=whose), private_network, bytes_max)

    async def _get(self, url: str, whose: Whose, private_network: bool, bytes_max: int) -> bytes:  # noqa: FBT001 -- private
        parts = urlsplit(url)
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        grant = upstream_grant(host, port, private_network=private_network)
        if isinstance(grant, Refusal):
            raise EgressRefused(grant)
        connected = await self._connector.connect(host, port, grants=(grant,), whose=whose)
        try:
            reader, writer = await asyncio.open_connection(
                sock=connected, ssl=self._tls() if secure else None, server_hostname=host if secure else None
            )
        except BaseException:
            connected.close()
            raise
        try:
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            head = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n"
            writer.write(f"{head}User-Agent: toolward\r\nConnection: close\r\n\r\n".encode("ascii"))
            await writer.drain()
            return await _body(reader, bytes_max)
        finally:
            writer.transport.abort()  # the body is all that was wanted


class _Answer:
    """Callbacks of the parser."""

    def __init__(self, bytes_max: int) -> None:
        self.body = bytearray()
        self.done = False
        self._bytes_max = bytes_max

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > self._bytes_max:
            raise OSError(f"the answer has more than {self._bytes_max} bytes")

    def on_message_complete(self) -> None:
        self.done = True


async def _body(reader: asyncio.StreamReader, bytes_max: int) -> bytes:
    answer = _Answer(bytes_max)
    parser = httptools.HttpResponseParser(answer)
    taken = 0
    try:
        while not answer.done:
            chunk = await reader.read(_CHUNK)
            taken += len(chunk)
            if not chunk:
                break
            if taken > 2 * bytes_max + _CHUNK:  # heads and chunk sizes without end
                raise OSError("the answer has no end")
            parser.feed_data(chunk)
    except httptools.HttpParserError as error:
        cause = error.__context__  # what a callback raised arrives wrapped
        raise cause if isinstance(cause, OSError) else OSError("the answer is no http") from error
    if not taken:
        raise OSError("the connection ended without an answer")
    if parser.get_status_code() != 200:  # noqa: PLR2004 -- HTTP's OK
        raise OSError(f"the answer is http {parser.get_status_code()}")
    return bytes(answer.body)
