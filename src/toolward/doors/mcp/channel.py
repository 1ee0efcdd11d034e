"""One HTTP response: JSON, or an event stream once something has to be said before the result."""

from __future__ import annotations

import asyncio

from toolward.doors.mcp.replies import dump
from toolward.doors.mcp.wire import Json, Receive, Send

_JSON = (b"content-type", b"application/json")
_STREAM = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
Extra = tuple[tuple[bytes, bytes], ...]


def event_frame(data: bytes, event_id: str = "") -> bytes:
    """One server-sent event (WHATWG HTML, 9.2) with one line of data."""
    head = f"id: {event_id}\n".encode() if event_id else b""
    return head + b"event: message\ndata: " + data + b"\n\n"


async def send_json(send: Send, status: int, message: Json, extra: Extra = ()) -> None:
    """A whole response with a JSON body."""
    await send_bytes(send, status, dump(message), (_JSON, *extra))


async def send_bytes(send: Send, status: int, body: bytes, headers: Extra) -> None:
    """A whole response."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def send_status(send: Send, status: int, extra: Extra = ()) -> None:
    """A whole response without a body."""
    await send_bytes(send, status, b"", extra)


async def disconnected(receive: Receive) -> None:
    """Return when the caller has closed the connection (or, on HTTP/1.1, the response was complete)."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Channel:
    """Where the answer to one request goes. Writes of several tasks do not mix."""

    __slots__ = ("_lock", "_send", "may_stream", "streaming")

    def __init__(self, send: Send, *, may_stream: bool) -> None:
        self._send = send
        self._lock: asyncio.Lock | None = None
        self.may_stream = may_stream
        self.streaming = False

    async def write(self, frame: bytes, opening: bytes = b"") -> None:
        """Send one frame; the first one opens the stream, with `opening` before it."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if not self.streaming:
                self.streaming = True
                frame = opening + frame
                await self._send({"type": "http.response.start", "status": 200, "headers": list(_STREAM)})
            await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    async def end(self) -> None:
        """End the stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def answer(self, status: int, message: Json, extra: Extra = ()) -> None:
        """The result: as JSON while no stream is open, as the stream's last event otherwise."""
        if not self.streaming:
            await send_json(self._send, status, message, extra)
            return
        await self.write(event_frame(dump(message)))
        await self.end()
