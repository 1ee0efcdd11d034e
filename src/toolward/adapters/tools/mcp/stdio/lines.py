"""Newline-delimited messages from a stream of chunks, with a bound on each line."""

from __future__ import annotations

from dataclasses import dataclass

from toolward.adapters.tools.mcp.bounds import LINE_BYTES_MIN, LINE_SKIP_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was thrown away; `head` is how it began."""

    head: bytes


class Flooded(Exception):
    """A line did not end within any bound."""


class LineReader:
    """Feed it chunks, it gives whole lines; of an overlong one only the beginning is kept.

    `line_max` may be changed at any time.
    """

    __slots__ = ("_pending", "_skipped", "_skipping", "line_max")

    def __init__(self) -> None:
        self.line_max = LINE_BYTES_MIN
        self._pending = bytearray()
        self._skipping = False
        self._skipped = 0

    def feed(self, chunk: bytes) -> list[bytes | Overlong]:
        """What `chunk` completed. Raises `Flooded`."""
        out: list[bytes | Overlong] = []
        parts = chunk.split(b"\n")
        for part in parts[:-1]:
            if self._skipping:
                self._skipping = False
            else:
                self._pending += part
                whole = bytes(self._pending)
                out.append(whole if len(whole) <= self.line_max else Overlong(whole[:256]))
            self._pending.clear()
        rest = parts[-1]
        if self._skipping:
            self._skipped += len(rest)
            if self._skipped > LINE_SKIP_BYTES_MAX:
                raise Flooded
        else:
            self._pending += rest
            if len(self._pending) > self.line_max:
                out.append(Overlong(bytes(self._pending[:256])))
                self._skipping, self._skipped = True, len(self._pending)
                self._pending.clear()
        return out
