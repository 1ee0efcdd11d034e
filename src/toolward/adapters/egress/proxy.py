"""The way out of one cage: an HTTP proxy that knows who may be reached, and tells what left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolward.adapters.egress.bounds import HEADER_BYTES_MAX, EgressLimits
from toolward.adapters.egress.connecting import SystemResolver
from toolward.adapters.egress.terms import Terms
from toolward.adapters.egress.visit import Visit
from toolward.model.egress import EgressCode, Grant, Refusal, Whose
from toolward.ports.egress import EgressSignals, Resolver

BACKLOG = 64
"""Connections that the kernel accepts ahead of us."""


class EgressProxy:
    """Serves `CONNECT` and `http://` requests to granted destinations, for one call or one session.

    Whoever can connect to a listener uses the grants, so that each cage has a proxy of its own. Everything
    that goes wrong refuses. `close` ends all connections and is what `async with` does at its end.
    """

    def __init__(
        self,
        grants: Sequence[Grant],
        *,
        whose: Whose,
        signals: EgressSignals,
        resolver: Resolver | None = None,
        limits: EgressLimits | None = None,
    ) -> None:
        self._terms = Terms(
            grants=tuple(grants),
            whose=whose,
            signals=signals,
            resolver=resolver or SystemResolver(),
            limits=limits or EgressLimits(),
        )
        self._servers: list[asyncio.Server] = []
        self._visits: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def serve(self, listener: socket.socket) -> None:
        """Accept on a listening TCP or Unix socket, which is the proxy's from now on.

        It may have been made in another network namespace: only accepting is done on it.
        """
        listener.setblocking(False)  # noqa: FBT003 -- the library's signature
        start = asyncio.start_unix_server if listener.family == socket.AF_UNIX else asyncio.start_server
        server = await start(self._accepted, sock=listener, limit=HEADER_BYTES_MAX, backlog=BACKLOG)
        self._servers.append(server)

    async def listen_on_loopback(self, port: int = 0) -> int:
        """Listen on 127.0.0.1; returns the port. Every user of this machine can connect to it."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            listener.bind(("127.0.0.1", port))
            listener.listen(BACKLOG)
            await self.serve(listener)
            undo.pop_all()
        return int(listener.getsockname()[1])

    async def listen_on_unix(self, path: Path) -> None:
        """Listen on a Unix socket that only this user can connect to. Its file is the caller's to remove."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen(BACKLOG)
            await self.serve(listener)
            undo.pop_all()

    async def close(self) -> None:
        """Stop accepting and end every connection; each one that was open has been told of at return."""
        self._closed = True
        for server in self._servers:
            server.close()
        for visit in self._visits:
            visit.cancel()
        _ = await asyncio.gather(*self._visits, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; runs in a task of its own."""
        task = asyncio.current_task()
        if task is None or self._closed:
            writer.transport.abort()
            return
        visit = Visit(self._terms, reader, writer)
        many = len(self._visits) >= self._terms.limits.connections_max
        self._visits.add(task)
        try:
            if many:
                await visit.refuse(_too_many(self._terms.limits))
            else:
                await visit.run()
        except asyncio.CancelledError:
            if not self._closed:
                raise
        finally:
            self._visits.discard(task)


def _too_many(limits: EgressLimits) -> Refusal:
    text = f"more than {limits.connections_max} connections at once"
    return Refusal(EgressCode.OVERLOADED, text, "close some before opening more")
