"""The gateway's end of one worker: frames out, frames in, and its certain end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from toolward.adapters.sandboxes.cage.frames import HEADER, pack
from toolward.adapters.sandboxes.cgroups import Leaf
from toolward.model.capability import IsolationLevel, Limits

FRAME_SLACK: Final = 4_096
"""What a frame may have beyond its payload: keys, and the text of an error."""
_READ: Final = 256 * 1024
_ARMED: Final = {"armed": True}


class Broken(Exception):
    """The worker sent what is not one bounded frame of JSON, or went away; `gone` says which."""

    def __init__(self, text: str, *, gone: bool) -> None:
        super().__init__(text)
        self.gone = gone


class WorkerLink:
    """One worker. It is used for one execution and ended; `on_gone` is called once nothing of it is left."""

    def __init__(self, conn: socket.socket, pidfd: int, *, pid: int, tier: IsolationLevel, slot: int) -> None:
        self.pid = pid
        self.slot = slot
        self.tier = tier
        self.listener: socket.socket | None = None
        self.group: Leaf | None = None
        self.port = 0  # where the cage finds its proxy; 0 without network
        self.on_gone: Callable[[WorkerLink], None] = _nothing
        self._conn: socket.socket | None = conn
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._frames: deque[Any] = deque()
        self._buffer = bytearray()
        self._limit = FRAME_SLACK
        self._broken: Broken | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._trusted = True
        self._loop.add_reader(conn.fileno(), self._readable)
        self._loop.add_reader(pidfd, self._ended)

    # --- out

    def arm(self, spec: dict[str, Any], fds: Sequence[int], limits: Limits) -> None:
        """Send what the cage is to hold; `fds` are duplicated by the kernel and stay the caller's.

        Raises `OSError` where its group can not hold `limits`.
        """
        if self.group is not None:
            self.group.hold(limits)
        self._send(pack(spec), fds)

    async def give(self, job: dict[str, Any], fds: Sequence[int], *, answer_bytes_max: int) -> None:
        """Send the one job. Raises `Broken`."""
        self._limit = answer_bytes_max + FRAME_SLACK
        frame = pack(job)
        self._send(frame[: HEADER.size], fds)
        conn = self._conn
        if conn is None:
            raise Broken("the worker ended before its job", gone=True)
        with contextlib.suppress(OSError):  # its end is read from the other direction
            await self._loop.sock_sendall(conn, frame[HEADER.size :])

    def signal(self, number: int) -> None:
        """Have the program in the cage get a signal."""
        self._send(pack({"signal": number}), ())

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        if self._conn is not None:
            with contextlib.suppress(OSError):
                socket.send_fds(self._conn, [data], list(fds))

    # --- in

    async def frame(self) -> Any:
        """The next message. Raises `Broken`."""
        while not self._frames:
            if self._broken is not None:
                raise self._broken
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._frames.popleft()

    def _readable(self) -> None:
        self._read_some()

    def _read_some(self) -> bool:
        """Take what stands in the socket; whether more may stand there."""
        conn = self._conn
        if conn is None:
            return False
        try:
            if self._trusted:
                data, fds, _, _ = socket.recv_fds(conn, _READ, 1, socket.MSG_CMSG_CLOEXEC)
                if fds:
                    self.listener = socket.socket(fileno=fds[0])
            else:
                data = conn.recv(_READ)  # descriptors that a tool sends along are closed by the kernel
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._break("the cage ended without an answer", gone=True)
            return False
        self._buffer += data
        try:
            self._parse()
        except ValueError:
            self._break("the answer is not json", gone=False)
        self._wake()
        return self._broken is None

    def _parse(self) -> None:
        while len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > self._limit:
                self._break(f"the answer has {length} bytes and the limit is {self._limit}", gone=False)
                return
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            frame = orjson.loads(body)
            self._trusted = (
                self._trusted and frame != _ARMED
            )  # from then on the tool may be the one who writes
            self._frames.append(frame)

    def _break(self, text: str, *, gone: bool) -> None:
        self._broken = self._broken or Broken(text, gone=gone)
        self._stop_reading()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _stop_reading(self) -> None:
        if self._conn is not None:
            self._loop.remove_reader(self._conn.fileno())

    # --- the end

    @property
    def alive(self) -> bool:
        """Whether a job given now could be done."""
        return self._broken is None and not self._gone.done()

    def kill(self) -> None:
        """End the cage: every process in it."""
        if self.group is not None and self.tier is IsolationLevel.LANDLOCK and not self._gone.done():
            self.group.kill()  # the supervisor, which is not in it, would have to find them all
        if self.tier is not IsolationLevel.LANDLOCK and not self._gone.done():
            with contextlib.suppress(OSError):
                if self.tier is IsolationLevel.NONE:
                    os.killpg(self.pid, signal.SIGKILL)
                signal.pidfd_send_signal(
                    self._pidfd, signal.SIGKILL
                )  # the first process: the kernel ends all
        self._break("the cage was ended", gone=True)
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)  # what the supervisor of the other tiers waits for
            conn.close()
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    def take_listener(self) -> socket.socket | None:
        """The egress listener, which is the caller's from now on."""
        listener, self.listener = self.listener, None
        return listener

    async def gone(self) -> None:
        """Wait until no process of the cage is left."""
        await asyncio.shield(self._gone)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._gone.set_result(None)
        # What it wrote before its end may still stand in the socket. That nothing more does is enough:
        # its other end may be open, in a process that somebody else has to end, and would be waited for here.
        while self._broken is None and self._read_some():
            pass
        self._break("the cage ended without an answer", gone=True)
        self.on_gone(self)


def _nothing(_: WorkerLink) -> None:
    return
