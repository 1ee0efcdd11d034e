"""Which processors threads of this process may run on, where a system lets us say so (Linux).

All of it is about speed: what a system refuses stays as it is.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class _Known:
    wide: frozenset[int] = frozenset()  # what the thread that is kept on one processor might use before


_KNOWN: Final = _Known()


def keep_on(processor: int, *threads: int) -> None:
    """Let the calling thread and those (their `native_id`) run on that processor only, until they are let go.

    What the calling thread starts meanwhile inherits it, unless `use_all` is called. Nothing is done where
    the calling thread may not use that processor, or has no other.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    wide = frozenset(os.sched_getaffinity(0))
    if processor in wide and len(wide) > 1:
        _KNOWN.wide = wide
        for each in (*threads, 0):
            _let(each, frozenset({processor}))


def let_go(processor: int, *threads: int) -> None:
    """Give back what the calling thread could use. Who was placed by somebody else meanwhile stays there."""
    for each in (*threads, 0):
        with contextlib.suppress(OSError, AttributeError):  # the thread is gone; there is no such setting
            if os.sched_getaffinity(each) == {processor}:
                _let(each, _KNOWN.wide)


def use_all() -> None:
    """The calling thread may run wherever the one that is kept could before.

    Called before a thread or a process is started, or by a new thread. Nothing where nobody was kept.
    """
    _let(0, _KNOWN.wide)


def _let(thread: int, processors: frozenset[int]) -> None:
    if processors:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(thread, processors)
