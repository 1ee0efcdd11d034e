"""The three pipes of a program in a cage, and a bounded conversation over them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

_READ = 256 * 1024
_STDOUT = 0
_STDERR = 1


@dataclass(kw_only=True)
class Pipes:
    """`ours` are the gateway's ends (stdin, stdout, stderr), `theirs` the cage's."""

    ours: list[int] = field(default_factory=list)
    theirs: list[int] = field(default_factory=list)

    @classmethod
    def make(cls) -> Pipes:
        """Three new pipes; closed on exec."""
        pipes = cls()
        for ours_reads in (False, True, True):
            read, write = os.pipe2(os.O_CLOEXEC)
            pipes.ours.append(read if ours_reads else write)
            pipes.theirs.append(write if ours_reads else read)
        return pipes

    def close_theirs(self) -> None:
        """Close the cage's ends here; it has its own copies."""
        _close(self.theirs)

    def close(self) -> None:
        """Close all that is still open."""
        _close(self.theirs)
        _close(self.ours)


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


class Conversation:
    """Writes `stdin`, collects stdout and stderr; calls `on_flood` once they exceed `bytes_max` together."""

    def __init__(self, pipes: Pipes, stdin: bytes, *, bytes_max: int, on_flood: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stdin_fd, *self._out_fds = pipes.ours
        pipes.ours.clear()  # they are ours now
        self._left = memoryview(stdin)
        self._texts = (bytearray(), bytearray())
        self._room = bytes_max
        self._on_flood = on_flood
        self._open = set(self._out_fds)
        self._done = asyncio.Event()
        for fd in (self._stdin_fd, *self._out_fds):
            os.set_blocking(fd, False)
        self._write()
        for index, fd in enumerate(self._out_fds):
            self._loop.add_reader(fd, self._read, fd, self._texts[index])

    @property
    def stdout(self) -> bytes:
        """What came on stdout until now."""
        return bytes(self._texts[_STDOUT])

    @property
    def stderr(self) -> bytes:
        """What came on stderr until now."""
        return bytes(self._texts[_STDERR])

    async def done(self) -> None:
        """Wait until both outputs have ended."""
        if self._open:
            await self._done.wait()

    def close(self) -> None:
        """Let go of the pipes."""
        self._end_stdin()
        for fd in list(self._open):
            self._end(fd)

    def _write(self) -> None:
        try:
            while self._left:
                self._left = self._left[os.write(self._stdin_fd, self._left) :]
        except BlockingIOError:
            self._loop.add_writer(self._stdin_fd, self._write)
            return
        except OSError:
            pass  # it does not want to read: its own affair
        self._end_stdin()

    def _end_stdin(self) -> None:
        if self._stdin_fd >= 0:
            self._loop.remove_writer(self._stdin_fd)
            os.close(self._stdin_fd)
            self._stdin_fd = -1

    def _read(self, fd: int, into: bytearray) -> None:
        try:
            data = os.read(fd, min(_READ, self._room + 1))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(fd)
            return
        into += data[: self._room]
        if len(data) > self._room:
            self._end(fd)
            self._on_flood()
        self._room = max(0, self._room - len(data))

    def _end(self, fd: int) -> None:
        if fd in self._open:
            self._loop.remove_reader(fd)
            os.close(fd)
            self._open.discard(fd)
        if not self._open:
            self._done.set()
