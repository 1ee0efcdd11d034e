"""Identifiers: UUIDv7 (RFC 9562) from the machine's chance, and a counter for tests."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""A hexadecimal digit of chance as the digit whose upper two bits are the variant's `10`."""


_CHANCE_BYTES: Final = 10
_AHEAD: Final = 128
"""Identifiers' worth of chance fetched at once: a call needs four, and each fetch is a system call."""


class SystemIds:
    """`ports.ids.Ids` on the operating system."""

    def __init__(self) -> None:
        self._ahead: deque[str] = deque()
        self._now_ms, self._when = -1, ""
        # A forked child that went on with its parent's chance would repeat its parent's names.
        os.register_at_fork(after_in_child=self._ahead.clear)

    def new(self) -> str:
        """A UUIDv7: 48 bits of milliseconds, 74 bits of chance."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms != self._now_ms:  # a burst of names shares its beginning
            when = f"{now_ms:012x}"
            self._now_ms, self._when = now_ms, f"{when[:8]}-{when[8:]}"
        try:
            return self._when + self._ahead.popleft()
        except IndexError:
            return self._when + self._fetch()

    def _fetch(self) -> str:
        text = os.urandom(_CHANCE_BYTES * _AHEAD).hex()
        size = 2 * _CHANCE_BYTES
        parts = (text[place : place + size] for place in range(0, len(text), size))
        self._ahead.extend(f"-7{c[:3]}-{_VARIANT[c[3]]}{c[4:7]}-{c[7:19]}" for c in parts)
        return self._ahead.popleft()

    def token(self) -> str:
        """256 bits, URL-safe, straight from the operating system."""
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
