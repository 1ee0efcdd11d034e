"""What the C library does with large blocks of memory that are freed."""

from __future__ import annotations

import ctypes
from typing import Final

OWN_MAPPING_BYTES: Final = 1024 * 1024
"""From this size on a block is mapped by itself, and goes back to the system when it is freed.

Far more than an ordinary call's body or record takes, so that those cost no system call.
"""
_M_MMAP_THRESHOLD: Final = -3
"""See mallopt(3)."""


def give_back_large_blocks() -> bool:
    """From now on, in this process. False where the C library has no such setting.

    By itself glibc raises that size to the size of each mapped block that is freed, up to 32 MiB: after one
    body of megabytes those that follow come from the heap, and a small block behind one keeps it there.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, OWN_MAPPING_BYTES) == 1
