"""Moments as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_SECOND_NS: Final = 1_000_000_000


def utc(ns: int) -> str:
    """UTC nanoseconds as RFC 3339, to the second."""
    return datetime.fromtimestamp(ns // _SECOND_NS, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_ns(text: str) -> int:
    """The inverse, for any RFC 3339 time. Raises `ValueError`."""
    return int(datetime.fromisoformat(text).timestamp()) * _SECOND_NS
