"""Background work that is never lost: a reference is kept, and an error is reported, not swallowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Owns tasks that outlive the call that started them."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` with nobody waiting: what it raises goes to the error handler."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self.report)
        return task

    def report(self, task: asyncio.Task[Any]) -> None:
        """Hand the error of a task that ended to the error handler."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)

    def tell(self, error: BaseException) -> None:
        """Hand an error to the error handler that the work went on without."""
        self._on_error(error)

    async def drain(self) -> None:
        """Wait until everything that was started has ended."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def cancel(self) -> None:
        """Ask everything to stop; `drain` waits for it."""
        for task in self._tasks:
            task.cancel()
