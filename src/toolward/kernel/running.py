"""Calls that are with their tools, so that a stop can end the wait and still answer them."""

from __future__ import annotations

import asyncio
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

    def begin(self) -> asyncio.Task[Any] | None:
        """The current task waits for a tool from here on, until `end`."""
        if (task := asyncio.current_task()) is not None:
            self._waiting.add(task)
        return task

    def interrupt(self) -> None:
        """End every wait, and let none begin."""
        self.closed = True
        for task in self._waiting:
            self._interrupted.add(task)
            _ = task.cancel()

    def end(self, task: asyncio.Task[Any] | None) -> bool:
        """It waits no more. Whether it was interrupted: then it goes on as if nobody had cancelled it."""
        if task is None:
            return False
        self._waiting.discard(task)
        if task not in self._interrupted:
            return False
        self._interrupted.discard(task)
        _ = task.uncancel()
        return True
