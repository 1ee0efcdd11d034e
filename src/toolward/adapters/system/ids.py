"""Identifiers: UUIDv7 (RFC 9562) from the machine's chance, and a counter for tests."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


class SystemIds:
    """`ports.ids.Ids` on the operating system."""

    def new(self) -> str:
        """A UUIDv7: 48 bits of milliseconds, 74 bits of chance."""
        chance = int.from_bytes(os.urandom(10), "big") & (1 << 74) - 1
        milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
        value = milliseconds << 80 | _VERSION | chance >> 62 << 64 | _VARIANT | chance & (1 << 62) - 1
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def token(self) -> str:
        """256 bits, URL-safe."""
        return secrets.token_urlsafe(32)


@dataclass(slots=True)
class CountingIds:
    """`ports.ids.Ids` that counts, so that a test can say what comes next."""

    count: int = 0

    def new(self) -> str:
        """A UUID-shaped number."""
        self.count += 1
        return f"00000000-0000-7000-8000-{self.count:012x}"

    def token(self) -> str:
        """As predictable as the rest."""
        self.count += 1
        return f"token-{self.count:060d}"
