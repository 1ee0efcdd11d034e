"""The gateway's end of a zygote: start it, ask it for workers and for vetted paths."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from toolward.adapters.sandboxes.settings import START_MS, Settings
from toolward.config.processors import use_all
from toolward.errors import Denied, ReasonCode, SandboxUnavailable
from toolward.model.capability import PathGrant

_HERE: Final = Path(__file__).resolve().parent
_START: Final = (
    "import sys; sys.path.append(sys.argv[1]); import cage.zygote as z; "
    "sys.path.pop(); z.main(int(sys.argv[2]))"
)
_PACKET_BYTES_MAX: Final = 256 * 1024
_FDS_MAX: Final = 80


class ZygoteLink:
    """One zygote process. After `lost` is set nothing more comes of it, and another has to be started."""

    def __init__(self) -> None:
        self.hello: dict[str, Any] = {}
        self.lost = asyncio.Event()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: deque[asyncio.Future[tuple[dict[str, Any], list[int]]]] = deque()

    @property
    def pid(self) -> int:
        """The zygote's process id, 0 before it was started."""
        return self._process.pid if self._process else 0

    async def open(self, settings: Settings, *, keep: Sequence[int] = (), **more: object) -> dict[str, Any]:
        """Start it, with the descriptors `keep`, and wait for its first word. Raises `SandboxUnavailable`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003 -- the socket's own signature
        with theirs:
            use_all()
            try:
                self._process = subprocess.Popen(  # noqa: S603, ASYNC220 -- once, and it returns at once
                    [settings.interpreter, "-I", "-S", "-E", "-c", _START, str(_HERE), str(theirs.fileno())],
                    env={},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # workers inherit it: a tool must not write to ours
                    pass_fds=(theirs.fileno(), *keep),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise SandboxUnavailable(
                    f"the sandbox's helper could not be started: {error}",
                    remedy="check that the interpreter that runs toolward can be executed",
                ) from error
        self._control = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._readable)
        try:
            async with asyncio.timeout(START_MS / 1000):
                self.hello, _ = await self._ask(settings.order(**more))
        except TimeoutError as error:
            await self.close()
            raise SandboxUnavailable(
                f"the sandbox's helper said nothing for {START_MS} ms", remedy="see how busy the machine is"
            ) from error
        except BaseException:  # whoever opens it may be called off, and then nobody else closes it
            await self.close()
            raise
        if "fatal" in self.hello:
            await self.close()
            raise SandboxUnavailable(
                f"no cage of the tier `{settings.tier.value}` can be made here: {self.hello['fatal']}",
                remedy="toolward doctor says what this host reaches and how to reach more",
            )
        return self.hello

    async def spawn(
        self, *, network: bool, slot: int, entry: Sequence[int] = ()
    ) -> tuple[socket.socket, int, int]:
        """A new worker: its socket, a pidfd, its process id. Raises `SandboxUnavailable`.

        It goes into the control group to which `entry` leads.
        """
        answer, fds = await self._ask({"spawn": {"network": network, "slot": slot}}, entry)
        if "failed" in answer:
            raise SandboxUnavailable(
                f"no worker could be forked: {answer['failed']}",
                remedy="see what limits this machine's processes",
            )
        conn = socket.socket(fileno=fds[0])
        conn.setblocking(False)  # noqa: FBT003 -- the socket's own signature
        return conn, fds[1], _pid_of(fds[1]) or int(answer["pid"])

    async def resolve(self, grants: Sequence[PathGrant]) -> list[int]:
        """A descriptor of each granted path, vetted without following links. Raises `Denied`."""
        if not grants:
            return []
        wanted = [[grant.root, grant.path, grant.access.value] for grant in grants]
        answer, fds = await self._ask({"resolve": wanted})
        if "refused" in answer:
            path, why, remedy = answer["refused"]
            raise Denied(
                f"`{path}` can not be granted: {why}",
                code=ReasonCode.GRANT_REFUSED,
                remedy=remedy,
            )
        return fds

    async def close(self) -> None:
        """End it; its workers end with it."""
        self._lose()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.to_thread(process.wait)

    # --- the wire

    async def _ask(
        self, message: dict[str, Any], fds: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        control = self._control
        if control is None or self.lost.is_set():
            raise _gone()
        future: asyncio.Future[tuple[dict[str, Any], list[int]]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            socket.send_fds(control, [json.dumps(message).encode()], list(fds))
        except OSError:  # full means hundreds of requests unanswered: it hangs, and is as good as gone
            self._lose()
            raise _gone() from None
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_discard)  # the answer still comes, and brings descriptors
            raise

    def _readable(self) -> None:
        control = self._control
        if control is None:
            return
        try:
            data, fds, _, _ = socket.recv_fds(control, _PACKET_BYTES_MAX, _FDS_MAX, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data or not self._waiting:
            self._lose()
            return
        self._waiting.popleft().set_result((json.loads(data), list(fds)))

    def _lose(self) -> None:
        self.lost.set()
        control, self._control = self._control, None
        if control is not None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            control.close()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(_gone())


def _pid_of(pidfd: int) -> int:
    """The number of a process as seen from here: the zygote may count in a namespace of its own."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pid:"):
                return max(0, int(line.split()[1]))
    return 0


def _discard(future: asyncio.Future[tuple[dict[str, Any], list[int]]]) -> None:
    if not future.cancelled() and future.exception() is None:
        for fd in future.result()[1]:
            os.close(fd)


def _gone() -> SandboxUnavailable:
    return SandboxUnavailable("the sandbox's helper ended", remedy="try again: another one is started")
