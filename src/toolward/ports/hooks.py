"""What whoever runs a ward can decide in code: whether an occasion takes a session's work back."""

from __future__ import annotations

from typing import Protocol

from toolward.model.rollback import Occasion


class RollbackHook(Protocol):
    """Asked at every occasion on which a session could be rolled back by itself.

    MUST answer soon and from what it is given: no model is asked. What it raises is reported, and nothing is
    rolled back.
    """

    async def __call__(self, occasion: Occasion, session_id: str, why: str) -> str | None:
        """How far: '' for the whole session, a savepoint or a call of it; None to leave it as it is."""
        ...
