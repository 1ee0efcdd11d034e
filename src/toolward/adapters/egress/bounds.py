"""Limits of the egress proxy, with their units last and their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HEADER_BYTES_MAX: Final = 16 * 1024
"""Head of one request; common servers refuse past 8 to 16 KiB."""
HEADER_TIMEOUT_S: Final = 10.0
"""From accepting to a complete head: whoever sends a byte a minute holds a place no longer."""
HELLO_TIMEOUT_S: Final = 10.0
"""From the answer to `CONNECT` to a complete ClientHello."""
RESOLVE_TIMEOUT_S: Final = 5.0
"""One resolution; resolvers ask a second server after this long."""
RECORD_TIMEOUT_S: Final = 10.0
"""Until the decision is on the disk; a healthy one takes milliseconds, and late means no."""
DIAL_TIMEOUT_S: Final = 10.0
"""To an accepted connection, all addresses together."""
ATTEMPT_TIMEOUT_S: Final = 3.0
"""One address, where there is another one to try."""
ADDRESSES_MAX: Final = 8
"""Addresses of one answer that are tried; every one is judged."""
IDLE_TIMEOUT_S: Final = 60.0
"""No byte in either direction; longer than a slow server thinks."""
TOTAL_TIMEOUT_S: Final = 600.0
"""One connection; a call ends before, and so does its sandbox."""
CONNECTIONS_MAX: Final = 16
"""Open at once; package installers use ten."""
DESTINATIONS_MAX: Final = 64
"""Distinct hosts and ports of one proxy: under a wildcard every query is a message to whoever serves it."""
OUT_BYTES_MAX: Final = 8 * 1024 * 1024
"""To one destination over the life of the proxy: the bound on what can leave unseen."""
IN_BYTES_MAX: Final = 256 * 1024 * 1024
"""From one destination; a large download, not a mirror."""
CHUNK_BYTES: Final = 64 * 1024
"""Read at a time; a pipe's worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressLimits:
    """What one proxy may use up. Every value has its reason in this module."""

    header_timeout_s: float = HEADER_TIMEOUT_S
    hello_timeout_s: float = HELLO_TIMEOUT_S
    idle_timeout_s: float = IDLE_TIMEOUT_S
    total_timeout_s: float = TOTAL_TIMEOUT_S
    connections_max: int = CONNECTIONS_MAX
    destinations_max: int = DESTINATIONS_MAX
    out_bytes_max: int = OUT_BYTES_MAX
    in_bytes_max: int = IN_BYTES_MAX
