"""HTTP/1.1 POST over a judged connection; of the answer only the status is read."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from typing_extensions import override

from toolward.model.egress import Refusal, Whose
from toolward.ports.egress import Connector, EgressRefused
from toolward.ports.webhooks import Message, Outbox
from toolward.rules.egress.destination import upstream_grant

TIMEOUT_S: Final = 15.0
"""For the whole: Standard Webhooks names 15 to 30 seconds."""
STATUS_BYTES_MAX: Final = 4_096
_WHOSE: Final = Whose(server="webhook:")
"""As its connections stand in the record; no server of a ward can have that name."""


class PostingOutbox(Outbox):
    """Each message has a connection of its own: they are few, and to different places."""

    def __init__(self, connector: Connector, *, trust: ssl.SSLContext | None = None) -> None:
        self._connector = connector
        self._trust = trust

    @override
    async def post(self, message: Message) -> int:
        async with asyncio.timeout(TIMEOUT_S):
            return await self._post(message)

    async def _post(self, message: Message) -> int:
        parts = urlsplit(message.url)
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        grant = upstream_grant(host, port, private_network=message.private_network)
        if isinstance(grant, Refusal):
            raise EgressRefused(grant)
        request = _request(message, parts.netloc, (parts.path or "/", parts.query))
        connected = await self._connector.connect(host, port, grants=(grant,), whose=_WHOSE)
        trust = (self._trust or ssl.create_default_context()) if secure else None
        try:
            reader, writer = await asyncio.open_connection(
                sock=connected, ssl=trust, server_hostname=host if secure else None, limit=STATUS_BYTES_MAX
            )
        except BaseException:
            connected.close()
            raise
        try:
            writer.write(request)
            await writer.drain()
            return _status(await reader.readuntil(b"\r\n"))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise OSError("the answer is no http") from error
        finally:
            writer.transport.abort()  # the status is all that was wanted, and tls would wait for a farewell


def _request(message: Message, authority: str, target: tuple[str, str]) -> bytes:
    path = f"{target[0]}?{target[1]}" if target[1] else target[0]
    headers = {
        "Host": authority,
        "Content-Length": str(len(message.body)),
        "Connection": "close",
        "User-Agent": "toolward",
        **message.headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(char in line for line in lines for char in "\r\n"):
        raise OSError("a line break in the url or in a header")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + message.body


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit():
        raise OSError("the answer is no http")
    return int(code)
