"""Server-sent events, as WHATWG HTML section 9.2 reads them, from chunks of bytes."""

from __future__ import annotations

from dataclasses import dataclass

from toolward.adapters.tools.mcp.bounds import WEIGHT_MAX
from toolward.adapters.tools.mcp.flood import weight_of


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched block. `data` may be empty: such a block only carries an id or a retry time."""

    kind: str
    data: bytes
    event_id: str | None
    retry_ms: int | None


class EventTooLarge(Exception):
    """One event exceeded the reader's limit."""


class SseReader:
    """Feed it chunks, it gives whole events. Holds at most `event_max` bytes of an unfinished one."""

    __slots__ = (
        "_data",
        "_event_id",
        "_kind",
        "_max",
        "_noise",
        "_pending",
        "_retry",
        "_size",
        "_skip_lf",
        "_started",
    )

    def __init__(self, event_max: int) -> None:
        self._max = event_max
        self._pending = bytearray()
        self._skip_lf = False
        self._started = False
        self._noise = 0
        self._reset()

    def _reset(self) -> None:
        self._kind = ""
        self._data: list[bytes] = []
        self._event_id: str | None = None
        self._retry: int | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Events that `chunk` completed. Raises `EventTooLarge`."""
        if self._skip_lf and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skip_lf = False
        self._pending += chunk
        if not self._started:
            if len(self._pending) < len(b"\xef\xbb\xbf") and self._pending[:1] == b"\xef":
                return []
            self._started = True
            if self._pending.startswith(b"\xef\xbb\xbf"):
                del self._pending[:3]
        if b"\n" not in chunk and b"\r" not in chunk:
            self._bound(len(self._pending))
            return []
        return self._take_lines()

    def noise(self) -> int:
        """What lines weigh that said nothing since the last time (comments, empty ones), as one message."""
        noise, self._noise = min(self._noise, WEIGHT_MAX), 0
        return noise

    def _take_lines(self) -> list[SseEvent]:
        lines = bytes(self._pending).splitlines(keepends=True)
        self._pending.clear()
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            self._pending += lines.pop()
        elif lines and lines[-1].endswith(b"\r"):
            self._skip_lf = True
        events = []
        for line in lines:
            text = line.rstrip(b"\r\n")
            if text:
                self._field(text)
                self._bound(self._size)
            elif (event := self._dispatch()) is not None:
                events.append(event)
            else:
                self._noise += 1
        self._bound(self._size + len(self._pending))
        return events

    def _bound(self, size: int) -> None:
        if size > self._max:
            raise EventTooLarge

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._event_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= len("999999999"):
            self._retry = int(value)
        else:
            self._noise += weight_of(len(line))

    def _dispatch(self) -> SseEvent | None:
        empty = not self._data and self._event_id is None and self._retry is None
        event = SseEvent(self._kind or "message", b"\n".join(self._data), self._event_id, self._retry)
        self._reset()
        return None if empty else event
