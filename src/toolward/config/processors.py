"""The processors that this process may use: those that whoever started it allows (`taskset`, cgroups)."""

from __future__ import annotations

import contextlib
import os
from typing import Final

ALLOWED: Final = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())
"""As it was at the start; empty where a system does not tell."""


def use(processors: frozenset[int], *, thread: int = 0) -> None:
    """Let a thread, by default the calling one, run on those only. What it starts inherits that.

    Nothing happens where the system has no such setting or refuses: it is about speed.
    """
    if processors and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(thread, processors)


def use_all() -> None:
    """The calling thread may run anywhere again: called before it starts a process, or by a new thread."""
    use(ALLOWED)
