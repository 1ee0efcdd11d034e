"""Who is at the other end of a Unix socket, told to the application by the kernel and not by the caller.

uvicorn does not pass it on, so its protocol class is extended: each request's ASGI scope then has
`scope["extensions"]["toolward"] = {"os_uid": <int>}`. Over TCP the extension is absent, and no header can
bring it there.
"""

from __future__ import annotations

import socket
import struct
import sys
from asyncio import BaseTransport, Transport
from typing import cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_UCRED = struct.Struct("3i")


class PeerAwareProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol for TCP and Unix sockets: `uvicorn.Config(http=PeerAwareProtocol, ...)`."""

    _os_uid: int | None = None

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        """Asks once for each connection."""
        super().connection_made(cast("Transport", transport))
        self._os_uid = peer_uid(transport.get_extra_info("socket"))

    @override
    def on_message_begin(self) -> None:
        """Puts the answer into each request's scope."""
        super().on_message_begin()
        if self._os_uid is not None:
            self.scope["extensions"] = {"toolward": {"os_uid": self._os_uid}}


def peer_uid(connection: socket.socket | None) -> int | None:
    """The user id of a Unix socket's peer (`SO_PEERCRED`); None over TCP or where it can not be known."""
    if connection is None or connection.family != socket.AF_UNIX or sys.platform != "linux":
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, _gid = _UCRED.unpack(credentials)
    return int(uid)
