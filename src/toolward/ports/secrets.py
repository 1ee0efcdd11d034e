"""Secrets by name."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """Reads secrets at execution time. MUST NOT log or cache them on disk."""

    def get(self, name: str) -> str:
        """The value. Raises `GatewayError` (`secret_missing`) whose remedy names the provider."""
        ...

    def known_values(self) -> tuple[str, ...]:
        """Values handed out so far, for redaction from replies, records and logs."""
        ...
