"""Rows whose time is over leave the state, by the hour; the log keeps what they told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from toolward.config.limits import PRUNE_S
from toolward.errors import ToolwardError
from toolward.ports.clock import Clock

FIRST_S = 60
"""After a start: its first calls come before this."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """All that can be pruned: approvals and grants, idempotency keys, the journal of effects."""

    every: Sequence[Callable[[], Awaitable[int]]]
    clock: Clock

    async def __call__(self) -> int:
        """Look once; how many rows went. Raises `AuditUnavailable`, `Overloaded`."""
        return sum([await each() for each in self.every])

    async def run(self, report: Callable[[ToolwardError], None]) -> None:
        """Look now and then, for as long as the task lives. A log that takes no more ends nothing here."""
        wait_s = FIRST_S
        while True:
            await self.clock.sleep(wait_s)
            try:
                _ = await self()
            except ToolwardError as error:
                report(error)
            wait_s = PRUNE_S
