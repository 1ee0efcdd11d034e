"""Gateways by the hundred: a process that has imported everything forks one whenever it is told to.

    python -m toolward.lab.torture.nursery WARD PORT

Importing takes most of a start, and tortures nothing. Each gateway is a process of its own all the same: it
opens the ward by itself and shares no memory, file or thread with any other.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
import uvloop

import toolward.doors.uvicorn_protocol  # noqa: F401 -- imported by a gateway late, here once for all
from toolward.bootstrap.daemon import Watch, run_daemon

START_TIMEOUT_S: Final = 60.0


@dataclass(slots=True)
class Nursery:
    """The controlling side. One gateway at a time: `start`, `ready`, `kill`."""

    process: Process
    pid: int = 0
    starts: int = 0
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _dead: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _born: asyncio.Event = field(default_factory=asyncio.Event)
    lines: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        """Read what the nursery and its gateways print, until they end."""
        if self.process.stdout is None:
            raise RuntimeError("the nursery has no stdout")
        async for line in self.process.stdout:
            try:
                message = orjson.loads(line)
            except orjson.JSONDecodeError:
                self.lines.append(line.decode("utf-8", "replace").rstrip())
                continue
            if "born" in message:
                self.pid = message["born"]
                self._born.set()
            elif "dead" in message:
                self._dead.set()
            elif "ended" in message:
                self._ended.set()
            elif "trouble" in message:
                self.lines.append(message["trouble"])
            elif "url" in message:
                self._ready.set()

    async def start(self) -> None:
        """Fork a gateway; it is not ready yet."""
        for event in (self._ready, self._born, self._dead, self._ended):
            event.clear()
        self._tell(b"start\n")
        self.starts += 1
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._born.wait()

    async def ready(self) -> None:
        """Wait until the gateway serves. Raises `RuntimeError` when it ended instead."""
        async with asyncio.timeout(START_TIMEOUT_S):
            waits = [asyncio.ensure_future(each.wait()) for each in (self._ready, self._ended)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
        if not self._ready.is_set():
            raise RuntimeError(f"the gateway did not start: {self.lines[-5:]}")

    async def end(self, number: signal.Signals) -> None:
        """Send the gateway a signal and wait until it is gone."""
        os.kill(self.pid, number)
        self._tell(b"reap\n")
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._dead.wait()

    def _tell(self, line: bytes) -> None:
        if self.process.stdin is None:
            raise RuntimeError("the nursery has no stdin")
        self.process.stdin.write(line)


@asynccontextmanager
async def nursery(ward: Path, port: int) -> AsyncIterator[Nursery]:
    """A nursery for the ward at `ward`, whose gateways listen on `port`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(ward), str(port), stdin=PIPE, stdout=PIPE
    )
    it = Nursery(process)
    listening = asyncio.ensure_future(it.listen())
    try:
        yield it
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        await listening


def _say(message: dict[str, int] | dict[str, str]) -> None:
    os.write(1, orjson.dumps(message) + b"\n")


async def _serve(ward: Path, port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    watch = Watch(
        ready=lambda ready: _say({"url": ready.url}),
        trouble=lambda server, text: _say({"trouble": f"{server}: {text}"}),
    )
    await run_daemon(ward, stop, watch=watch, port=port)


def main() -> None:
    """Obey `start` and `reap` on stdin; say who was born, is dead, or ended by itself."""
    ward, port = Path(sys.argv[1]), int(sys.argv[2])
    pid = 0
    for line in sys.stdin.buffer:
        if line == b"reap\n":
            os.waitpid(pid, 0)
            _say({"dead": pid})
            continue
        pid = os.fork()
        if pid == 0:
            try:
                uvloop.run(_serve(ward, port))
            except BaseException:  # noqa: BLE001 -- a forked process ends here, whatever happened
                traceback.print_exc()
            finally:
                _say({"ended": os.getpid()})
                os._exit(0)
        _say({"born": pid})


if __name__ == "__main__":
    main()
