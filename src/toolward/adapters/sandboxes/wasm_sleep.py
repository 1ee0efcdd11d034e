"""Sleeping inside WebAssembly, never longer than the call may take.

The runtime's own `poll_oneoff` sleeps in the host, where neither fuel nor the clock that interrupts modules
counts: a module that slept for a year held its thread for a year.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

WASI: Final = "wasi_snapshot_preview1"
POLL: Final = "poll_oneoff"
_SUBSCRIPTION: Final = struct.Struct(
    "<QB7xI4xQQH6x"
)  # userdata, kind, clock or descriptor, timeout, _, flags
_EVENT: Final = struct.Struct("<QHB5xQH6x")  # userdata, error, kind, bytes, flags
_CLOCK: Final = 0
_ABSOLUTE: Final = 1
_REALTIME: Final = 0
_SUBSCRIPTIONS_MAX: Final = 1_024
_DONE: Final = 0
_INVALID: Final = 28


@dataclass(frozen=True, slots=True)
class _Wanted:
    userdata: int
    kind: int
    wait_s: float  # descriptors are files and memory: always ready


class TimeOver(Exception):
    """Its wall time ended in its sleep; out of a host function this ends the module."""


def poll_until(deadline: float) -> Callable[[Any, int, int, int, int], int]:
    """`poll_oneoff` for a module whose time is over at `deadline`, by the monotonic clock."""

    def poll(caller: Any, subscriptions: int, events: int, count: int, said: int) -> int:
        memory = caller.get("memory")
        if memory is None or not 0 < count <= _SUBSCRIPTIONS_MAX:
            return _INVALID
        try:
            start = subscriptions & 0xFFFF_FFFF
            wanted = [_read(memory, caller, start + at * _SUBSCRIPTION.size) for at in range(count)]
            wait = min(each.wait_s for each in wanted)
            left = max(0.0, deadline - time.monotonic())
            time.sleep(min(wait, left))
            if wait > left:
                raise TimeOver
            ready = [each for each in wanted if each.wait_s <= wait]
            out = b"".join(_EVENT.pack(each.userdata, 0, each.kind, 0, 0) for each in ready)
            memory.write(caller, out, events & 0xFFFF_FFFF)
            memory.write(caller, struct.pack("<I", len(ready)), said & 0xFFFF_FFFF)
        except (IndexError, ValueError, struct.error):  # outside of its memory
            return _INVALID
        return _DONE

    return poll


def _read(memory: Any, caller: Any, start: int) -> _Wanted:
    data = bytes(memory.read(caller, start, start + _SUBSCRIPTION.size))
    userdata, kind, clock, timeout, _, flags = _SUBSCRIPTION.unpack(data)
    if kind != _CLOCK:
        return _Wanted(userdata, kind, 0.0)
    if flags & _ABSOLUTE:
        now = time.time_ns() if clock == _REALTIME else time.monotonic_ns()
        timeout = max(0, timeout - now)
    return _Wanted(userdata, kind, timeout / 1e9)
