"""What was said on a session's streams, for a while, so that a broken stream can be resumed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from toolward.doors.mcp.channel import event_frame

STANDALONE = 0
"""The number of the stream that belongs to no call."""
_ID_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class _Kept:
    stream: int
    position: int
    frame: bytes


class EventLog:
    """Frames of one session's streams in order, bounded; the oldest go first.

    An event id is `<stream>-<position>`. It means something only inside its session, so it needs no secret.
    """

    def __init__(self, *, events_max: int, bytes_max: int) -> None:
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._last: dict[int, int] = {STANDALONE: 0}
        self._open: set[int] = {STANDALONE}
        self._streams = STANDALONE
        self._waiting: set[asyncio.Event] = set()

    def new_stream(self) -> int:
        """The number of a further stream."""
        self._streams += 1
        self._open.add(self._streams)
        self._last[self._streams] = 0
        return self._streams

    def append(self, stream: int, data: bytes) -> bytes:
        """Keep one message and return its frame."""
        self._last[stream] += 1
        position = self._last[stream]
        frame = event_frame(data, f"{stream}-{position}")
        self._kept.append(_Kept(stream, position, frame))
        self._bytes += len(frame)
        # the newest event stays whatever its size: it may be a result
        while len(self._kept) > 1 and (len(self._kept) > self._events_max or self._bytes > self._bytes_max):
            gone = self._kept.popleft()
            self._bytes -= len(gone.frame)
            if gone.stream not in self._open and gone.position == self._last.get(gone.stream):
                del self._last[gone.stream]
        self.wake()
        return frame

    def close_stream(self, stream: int) -> None:
        """Nothing more will be said there."""
        self._open.discard(stream)
        if not any(kept.stream == stream for kept in self._kept):
            self._last.pop(stream, None)
        self.wake()

    def is_open(self, stream: int) -> bool:
        """Whether more may come."""
        return stream in self._open

    def knows(self, stream: int) -> bool:
        """Whether something of that stream could still be replayed."""
        return stream in self._last

    def position(self, stream: int) -> int:
        """Position of the newest event of that stream."""
        return self._last.get(stream, 0)

    def after(self, stream: int, position: int) -> list[tuple[int, bytes]]:
        """Position and frame of what was said later than `position`, as far as it is kept."""
        return [(e.position, e.frame) for e in self._kept if e.stream == stream and e.position > position]

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something was appended or closed; the listener clears it."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            yield changed
        finally:
            self._waiting.discard(changed)

    def close(self) -> None:
        """End every stream: the session is over."""
        self._open.clear()
        self.wake()

    def wake(self) -> None:
        """Let every listener look again."""
        for changed in self._waiting:
            changed.set()


def parse_event_id(text: str) -> tuple[int, int] | None:
    """Stream and position, or None for what is none of our ids."""
    stream, dash, position = text.partition("-")
    if (
        not dash
        or len(text) > _ID_CHARS_MAX
        or not (stream.isascii() and stream.isdigit() and position.isascii() and position.isdigit())
    ):
        return None
    return int(stream), int(position)
