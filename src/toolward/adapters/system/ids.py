"""Identifiers: UUIDv7 (RFC 9562) from the machine's chance, and a counter for tests."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass

_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""A hexadecimal digit of chance as the digit whose upper two bits are the variant's `10`."""


class SystemIds:
    """`ports.ids.Ids` on the operating system."""

    def new(self) -> str:
        """A UUIDv7: 48 bits of milliseconds, 74 bits of chance."""
        when = f"{time.time_ns() // 1_000_000:012x}"
        chance = os.urandom(10).hex()
        return f"{when[:8]}-{when[8:]}-7{chance[:3]}-{_VARIANT[chance[3]]}{chance[4:7]}-{chance[7:19]}"

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
