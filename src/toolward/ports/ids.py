"""Identifiers and chance."""

from __future__ import annotations

from typing import Protocol


class Ids(Protocol):
    """Fresh names. MUST NOT repeat, also across processes."""

    def new(self) -> str:
        """A UUIDv7 (RFC 9562), so that identifiers sort by time."""
        ...

    def token(self) -> str:
        """An unguessable URL-safe string of at least 256 bits, for credentials and handles."""
        ...
