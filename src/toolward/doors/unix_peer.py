"""What uvicorn's HTTP protocol lacks: who is at the other end of a Unix socket, and an end to dawdling.

The peer is told to the application by the kernel and not by the caller: each request's ASGI scope has
`scope["extensions"]["toolward"] = {"os_uid": <int>}`. Over TCP the extension is absent, and no header can
bring it there.

uvicorn bounds how long a connection may idle between requests, and not how long a request may take to
arrive: whoever sends nothing, or a byte a minute, would hold a socket for ever without showing a credential.
"""

from __future__ import annotations

import socket
import struct
import sys
from asyncio import BaseTransport, TimerHandle, Transport
from typing import Final, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from toolward.doors.one_write import one_write

REQUEST_WITHIN_S: Final = 30.0
"""From the connection, or a request's first byte, to its last one; a body has 4 MiB at most."""
_UCRED = struct.Struct("3i")


class PeerAwareProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol for TCP and Unix sockets: `uvicorn.Config(http=PeerAwareProtocol, ...)`."""

    request_within_s: float = REQUEST_WITHIN_S
    _os_uid: int | None = None
    _arriving_since: float | None = None
    _patience: TimerHandle | None = None

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        """Asks once for each connection."""
        super().connection_made(one_write(cast("Transport", transport), self.loop))
        self._os_uid = peer_uid(transport.get_extra_info("socket"))
        self._arriving_since = self.loop.time()
        self._patience = self.loop.call_later(self.request_within_s, self._lose_patience)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timer."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        """Puts the peer into each request's scope."""
        self._arriving_since = self.loop.time()
        super().on_message_begin()
        if self._os_uid is not None:
            self.scope["extensions"] = {"toolward": {"os_uid": self._os_uid}}

    @override
    def on_message_complete(self) -> None:
        """The request is whole; from here on its answer may take as long as it does."""
        self._arriving_since = None
        super().on_message_complete()

    def _lose_patience(self) -> None:
        """One timer for each connection, set anew only when it has run out, so that requests cost none."""
        since, now = self._arriving_since, self.loop.time()
        if since is not None and now - since >= self.request_within_s:
            self.transport.close()
            return
        left = self.request_within_s if since is None else since + self.request_within_s - now
        self._patience = self.loop.call_later(left, self._lose_patience)


def peer_uid(connection: socket.socket | None) -> int | None:
    """The user id of a Unix socket's peer (`SO_PEERCRED`); None over TCP or where it can not be known."""
    if connection is None or connection.family != socket.AF_UNIX or sys.platform != "linux":
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, _gid = _UCRED.unpack(credentials)
    return int(uid)
