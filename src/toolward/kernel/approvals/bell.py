"""Who waits for an answer is woken by it; nobody polls, and nothing is held for those who don't wait."""

from __future__ import annotations

import asyncio


class Bell:
    """One bell for each approval that somebody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def ring(self, approval_id: str) -> None:
        """Wake all who wait for it."""
        for event in self._waiting.get(approval_id, ()):
            event.set()

    async def rung(self, approval_id: str, patience_s: float) -> bool:
        """Wait until it is rung; False if it was not in time."""
        event = asyncio.Event()
        self._waiting.setdefault(approval_id, set()).add(event)
        try:
            async with asyncio.timeout(patience_s):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting[approval_id]
            waiting.discard(event)
            if not waiting:
                del self._waiting[approval_id]
        return True
