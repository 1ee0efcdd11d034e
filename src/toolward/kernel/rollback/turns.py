"""One call at a time on one resource, from its before-image to what it left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from toolward.errors import Denied, ReasonCode
from toolward.rules.resources import overlap

WAIT_S: Final = 60.0
"""As long as a call may take; past it the caller is told to try again."""


class Turns:
    """Who is at work on what: without this, one call's before-image would hold half of another's effect."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[str, ...], asyncio.Event]] = {}

    async def take(self, holder: str, resources: Sequence[str]) -> None:
        """Wait until nobody else is at work on any of these. Raises `Denied` when that takes too long."""
        try:
            async with asyncio.timeout(WAIT_S):
                while (busy := self._busy(holder, resources)) is not None:
                    await busy.wait()
        except TimeoutError:
            raise Denied(
                "another call is still at work on what this one would change",
                code=ReasonCode.RESOURCE_CONFLICT,
                remedy="try again when it has ended",
            ) from None
        self._held[holder] = (tuple(resources), asyncio.Event())

    def leave(self, holder: str) -> None:
        """Let the next one in; does nothing for whoever holds nothing."""
        held = self._held.pop(holder, None)
        if held is not None:
            held[1].set()

    def _busy(self, holder: str, resources: Sequence[str]) -> asyncio.Event | None:
        for other, (held, done) in self._held.items():
            if other != holder and overlap(held, resources):
                return done
        return None
