"""Tells open pages that something about approvals has changed, by reading on in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from toolward.console.requests import SECURITY
from toolward.doors.mcp.channel import disconnected
from toolward.doors.mcp.wire import Receive, Send
from toolward.governance.following import Following
from toolward.kernel.tasks import Background
from toolward.model.event import EventKind
from toolward.ports.store import Store

LOOK_S: Final = 0.5
"""How often the size of the log is looked at while a page is open; it costs no query."""
TICK_S: Final = 20.0
"""How often a page refreshes what only time changes."""
LISTENERS_MAX: Final = 200
CHANGED: Final = b"event: changed\ndata: .\n\n"
TICK: Final = b"event: tick\ndata: .\n\n"
_KINDS: Final = (
    EventKind.APPROVAL_ASKED,
    EventKind.APPROVAL_VOTED,
    EventKind.APPROVAL_REMINDED,
    EventKind.APPROVAL_ENDED,
    EventKind.BREAK_GLASS,
)
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    *SECURITY,
)


class News:
    """One reader of the log for all pages that are open; none while none is."""

    def __init__(self, store: Store, background: Background, *, look_s: float = LOOK_S) -> None:
        self._store = store
        self._background = background
        self._look_s = look_s
        self._listeners: set[asyncio.Event] = set()
        self._reader: asyncio.Task[None] | None = None

    @property
    def crowded(self) -> bool:
        """Whether no more pages are told."""
        return len(self._listeners) >= LISTENERS_MAX

    async def stream(
        self, receive: Receive, send: Send, *, holds: Callable[[], bool], tick_s: float = TICK_S
    ) -> None:
        """Tell one page until it is closed, or `holds` no longer."""
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        changed = asyncio.Event()
        self._listeners.add(changed)
        gone = self._background.start(_until_gone(receive, changed))
        self._start()
        try:
            while holds():
                frame = TICK if not changed.is_set() else CHANGED
                await send({"type": "http.response.body", "body": frame, "more_body": True})
                changed.clear()
                if gone.done():
                    break
                await _wait(changed.wait, tick_s)
                if gone.done():
                    break
        finally:
            gone.cancel()
            self._listeners.discard(changed)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _start(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = self._background.start(self._read())

    async def _read(self) -> None:
        following = Following(self._store, _KINDS)
        while self._listeners:
            await asyncio.sleep(self._look_s)
            if following.new():
                for listener in self._listeners:
                    listener.set()


async def _until_gone(receive: Receive, changed: asyncio.Event) -> None:
    await disconnected(receive)
    asyncio.get_running_loop().call_soon(changed.set)


async def _wait(until: Callable[[], Awaitable[object]], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await until()
    except TimeoutError:
        pass
