"""What a sandbox is set up with, and its limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from toolward.model.capability import IsolationLevel

UIDS_BASE: Final = 1_880_000_000
"""Users of cages when the gateway is root: above all that distributions, systemd and containers hand out."""
READY_WORKERS: Final = 4
"""Workers that wait for a call; each costs about 3 MB until it is used."""
WORKERS_MAX: Final = 64
"""Cages at once, long-lived ones included; past this calls wait."""
QUEUE_WAIT_MS: Final = 10_000
"""How long a call waits for a worker before it is refused; never is it run in a weaker cage."""
START_MS: Final = 15_000
"""From starting a zygote, or a worker, to its first word, on a machine that is very busy."""
WATCH_MS: Final = 20
"""How often the memory of a running cage is added up: what it can take beyond its limit in that time."""
COUNT_S: Final = 2.0
"""How long a count of all processes of a user holds; it reads a file of each process of the machine."""
USER_ROOM: Final = 512
"""Processes that a user may start beside a cage while it runs before the cage can start none."""
END_MS: Final = 5_000
"""How long the kernel may take to end a cage; past this the call fails, because something may be left."""

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")


def system_runtimes() -> tuple[str, ...]:
    """What programs run from on this machine, the interpreter's own directories included."""
    found = [path for path in _SYSTEM if os.path.lexists(path)]
    home = os.path.realpath(sys.base_prefix)
    if not any(home == path or home.startswith(path + "/") for path in found):
        found.append(home)
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a sandbox is made. `runtimes` are directories that every cage sees, read-only."""

    tier: IsolationLevel = IsolationLevel.NAMESPACES
    runtimes: tuple[str, ...] = field(default_factory=system_runtimes)
    interpreter: str = field(default_factory=lambda: os.path.realpath(sys.executable))
    preload: tuple[str, ...] = ("json", "importlib")  # modules that every worker has from the start
    uid: int = UIDS_BASE
    ready: int = READY_WORKERS
    workers_max: int = WORKERS_MAX
    queue_wait_ms: int = QUEUE_WAIT_MS
    cgroups: bool = True  # use them where a part of the tree is ours

    def order(self, **more: object) -> dict[str, object]:
        """What the zygote is told."""
        return {
            "tier": self.tier.value,
            "uid": self.uid,
            "runtimes": list(self.runtimes),
            "preload": list(self.preload),
            **more,
        }


def joined(names: Iterable[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names) or "none"
