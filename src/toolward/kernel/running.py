"""Calls that are with their tools, so that a stop can end the wait and still answer them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final

from toolward.errors import ReasonCode
from toolward.model.call import Failed, Stopped

NOT_BEGUN: Final = Failed(
    code=-32000,
    message="the gateway is stopping, so it did not run",
    reason=ReasonCode.GATEWAY_UNAVAILABLE.value,
    from_server=False,
)
NEVER_RAN: Final = Failed(
    code=-32004,
    message="the caller went away before it ran",
    reason=ReasonCode.KILLED.value,
    from_server=False,
)
INTERRUPTED: Final = Stopped(
    reason=ReasonCode.UNKNOWN_OUTCOME.value, message="the gateway was stopped while the tool was running"
)


class Running:
    """Only a call that waits for its tool can be interrupted: what comes before and after is short."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[Any]] = set()
        self._interrupted: set[asyncio.Task[Any]] = set()
        self.closed = False

    def __enter__(self) -> None:
        """The current task waits for a tool."""
        if (task := asyncio.current_task()) is not None:
            self._waiting.add(task)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (task := asyncio.current_task()) is not None:
            self._waiting.discard(task)

    def interrupt(self) -> None:
        """End every wait, and let none begin."""
        self.closed = True
        for task in self._waiting:
            self._interrupted.add(task)
            _ = task.cancel()

    def was_interrupted(self) -> bool:
        """Whether that ended the current task's wait; it goes on as if nobody had cancelled it."""
        task = asyncio.current_task()
        if task is None or task not in self._interrupted:
            return False
        self._interrupted.discard(task)
        _ = task.uncancel()
        return True
