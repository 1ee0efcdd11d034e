"""One child process: its own process group, lines in, lines out, the tail of its stderr."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from typing_extensions import override

from toolward.adapters.tools.mcp.bounds import (
    KILL_GRACE_S,
    PAUSE_S,
    STDERR_BURST_BYTES,
    STDERR_BYTES_KEPT,
    STDERR_BYTES_PER_S,
    STDIN_BYTES_MAX,
)
from toolward.adapters.tools.mcp.flood import Bucket
from toolward.adapters.tools.mcp.stdio.lines import Flooded, LineReader, Overlong
from toolward.config.processors import use_all

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
STDOUT = 1
STDERR = 2
_DRAIN_S = 0.5
"""How long output may still arrive after a child ended, and how long closing stdin alone may take."""


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What every program needs, and what the ward gives this one; nothing else of ours."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    kept.setdefault("PATH", os.defpath)
    return {**kept, **extra}


class Process(ABC):
    """What runs a child, and how it is ended."""

    stdin: asyncio.WriteTransport

    @abstractmethod
    def signal(self, number: signal.Signals) -> None:
        """To the child and whatever it started; nothing where they are gone."""

    @abstractmethod
    def output(self, number: int) -> asyncio.ReadTransport | None:
        """`STDOUT` or `STDERR`, while it is open."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open of it here."""


class _Plain(Process):
    """A child process in a group of its own."""

    def __init__(self, transport: asyncio.SubprocessTransport) -> None:
        self._transport = transport
        self.stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))

    @override
    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._transport.get_pid(), number)

    @override
    def output(self, number: int) -> asyncio.ReadTransport | None:
        return cast("asyncio.ReadTransport | None", self._transport.get_pipe_transport(number))

    @override
    def close(self) -> None:
        self._transport.close()


class Child(asyncio.SubprocessProtocol):
    """Calls `on_line` for every line of stdout, and `on_end` once when the child is gone or floods."""

    def __init__(
        self, on_line: Callable[[bytes | Overlong], None], on_end: Callable[[str, bool], None]
    ) -> None:
        self.lines = LineReader()
        self._on_line = on_line
        self._on_end: Callable[[str, bool], None] | None = on_end
        self._stderr = bytearray()
        self._process: Process | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._exited = asyncio.Event()
        self._closing = False
        self._complaints = Bucket(STDERR_BURST_BYTES, STDERR_BYTES_PER_S)
        self._paused_until: dict[int, float] = {}  # output -> the loop's time

    # --- asyncio.SubprocessProtocol

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are so in all but name
        self.attach(_Plain(cast("asyncio.SubprocessTransport", transport)))

    def attach(self, process: Process) -> None:
        """From now on this is what runs it."""
        self._process = process
        self._stdin = process.stdin

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == STDERR:
            self._stderr += data
            del self._stderr[:-STDERR_BYTES_KEPT]
            self.pause(STDERR, self._complaints.debt_s(len(data)))
        elif not self._closing:
            try:
                for line in self.lines.feed(data):
                    self._on_line(line)
            except Flooded:
                self.kill()
                self._end("the server wrote a line without end", killed=True)

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == STDOUT:
            self.kill()
            self._end("the server closed its output", killed=False)

    @override
    def process_exited(self) -> None:
        self._exited.set()
        self._signal(signal.SIGKILL)  # whatever the child itself started
        asyncio.get_running_loop().call_later(_DRAIN_S, self._end, "the server ended", False)  # noqa: FBT003 -- call_later passes by position

    # --- used by the link

    @property
    def alive(self) -> bool:
        """Whether a line written now can be read."""
        stdin = self._stdin
        return self._on_end is not None and stdin is not None and not stdin.is_closing()

    @property
    def congested(self) -> bool:
        """Whether the child does not read what was written."""
        return self._stdin is not None and self._stdin.get_write_buffer_size() > STDIN_BYTES_MAX

    def write(self, line: bytes) -> None:
        """Write one line; `line` holds no newline."""
        if self._stdin is not None:
            self._stdin.write(line + b"\n")

    def pause(self, number: int, seconds: float) -> None:
        """Read no more of that output for so long: the pipe fills, and the child waits."""
        if seconds < PAUSE_S or self._process is None:
            return
        loop = asyncio.get_running_loop()
        paused = number in self._paused_until
        self._paused_until[number] = loop.time() + seconds
        output = self._process.output(number)
        if not paused and output is not None and not output.is_closing():
            output.pause_reading()
            loop.call_later(seconds, self._resume, number)

    def _resume(self, number: int) -> None:
        loop, until = asyncio.get_running_loop(), self._paused_until[number]
        if loop.time() < until:
            loop.call_at(until, self._resume, number)
            return
        del self._paused_until[number]
        output = self._process.output(number) if self._process is not None else None
        if output is not None and not output.is_closing():
            output.resume_reading()

    def stderr_tail(self) -> str:
        """The last that the child wrote to stderr; may hold secrets."""
        return bytes(self._stderr).decode("utf-8", "replace")

    def kill(self) -> None:
        """End the whole group at once."""
        self._closing = True
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Close stdin, then ask, then kill: the order that the specification gives."""
        self._closing = True
        self._on_end = None
        if self._stdin is not None:
            self._stdin.close()
        if not await self._gone(_DRAIN_S):
            self._signal(signal.SIGTERM)
            if not await self._gone(KILL_GRACE_S):
                self._signal(signal.SIGKILL)
                await self._gone(KILL_GRACE_S)
        if self._process is not None:
            self._process.close()

    async def _gone(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        return self._exited.is_set()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.signal(number)

    def _end(self, why: str, killed: bool) -> None:  # noqa: FBT001 -- call_later passes by position
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(why, killed)


async def start_child(child: Child, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None) -> None:
    """Start it. Raises `OSError`."""
    use_all()
    await asyncio.get_running_loop().subprocess_exec(
        lambda: child,
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd or None,
        start_new_session=True,
    )
