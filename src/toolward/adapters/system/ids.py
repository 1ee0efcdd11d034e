"""Identifiers: UUIDv7 (RFC 9562) from the machine's chance, and a counter for tests."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

_CHANCE_BYTES: Final = 10
_AHEAD: Final = 128
"""Identifiers' worth of chance fetched at once: a call needs four, and each fetch is a system call."""
_FREE: Final = int("0fff3fffffffffffffff" * _AHEAD, 16)
_FIXED: Final = int("70008000000000000000" * _AHEAD, 16)
"""Version and variant, and where neither is, of what follows the milliseconds."""
_PARTS: Final = re.compile("(....)(....)(.{12})")


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
        chance = int.from_bytes(os.urandom(_CHANCE_BYTES * _AHEAD), "big")
        text = f"{chance & _FREE | _FIXED:0{2 * _CHANCE_BYTES * _AHEAD}x}"
        self._ahead.extend(map("-%s-%s-%s".__mod__, _PARTS.findall(text)))
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
