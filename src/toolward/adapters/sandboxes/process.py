"""A long-lived program in a cage, as its caller sees it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

from typing_extensions import override

from toolward.adapters.sandboxes.execution import Execution
from toolward.adapters.sandboxes.pipes import Pipes
from toolward.model.capability import IsolationReport
from toolward.ports.sandbox import CagedProcess


class Process(CagedProcess):
    """See `ports.sandbox.CagedProcess`."""

    def __init__(self, execution: Execution, pipes: Pipes, *, on_end: Callable[[], None]) -> None:
        self._execution = execution
        self._stdin, self._stdout, self._stderr = pipes.ours
        pipes.ours.clear()  # they are the caller's now
        self._listener = execution.worker.take_listener()
        self._on_end = on_end
        self._ending: asyncio.Future[int] | None = None

    @property
    @override
    def stdin_fd(self) -> int:
        return self._stdin

    @property
    @override
    def stdout_fd(self) -> int:
        return self._stdout

    @property
    @override
    def stderr_fd(self) -> int:
        return self._stderr

    @property
    @override
    def egress_listener(self) -> socket.socket | None:
        return self._listener

    @property
    @override
    def report(self) -> IsolationReport:
        return self._execution.report

    @override
    def terminate(self) -> None:
        self._execution.worker.signal(signal.SIGTERM)

    @override
    def kill(self) -> None:
        self._execution.close()

    @override
    async def wait(self) -> int:
        if self._ending is None:  # whoever asks, and however many: there is one end
            self._ending = asyncio.ensure_future(self._ended())
        return await asyncio.shield(self._ending)

    async def _ended(self) -> int:
        answer = await self._execution.answer(forever=True)
        self._execution.close()
        await self._execution.worker.gone()
        with contextlib.suppress(RuntimeError):
            self._on_end()
        match answer:
            case {"exit": int(status)}:
                return status
            case _:
                return -signal.SIGKILL
