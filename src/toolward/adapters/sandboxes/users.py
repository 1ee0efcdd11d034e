"""A block of users for one pool that no other process on this machine has.

Two pools with the same users would end each other's cages, because the Landlock tier kills by user, and
would share one limit of processes.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from toolward.adapters.sandboxes.settings import UIDS_BASE
from toolward.errors import SandboxUnavailable

USERS_PER_POOL: Final = 1_024
"""One for each cage that may live at once, and one that all cages with namespaces share."""
POOLS_MAX: Final = 256
"""Pools on one machine; with the base above, the last user is 1_880_262_143."""
_PLACES: Final = ("/run", "/tmp")  # noqa: S108 -- the directory made there is root's own, or is not used
_NAME: Final = "toolward-users"


@dataclass(frozen=True, slots=True)
class Users:
    """`first` and the `USERS_PER_POOL - 1` after it. Held while any process has the descriptor `lock`.

    The zygote inherits it and so do the helpers beside cages: a gateway that is killed frees its users only
    once its last cage is gone.
    """

    first: int
    lock: int

    def release(self) -> None:
        """Let go of them here."""
        os.close(self.lock)


def claim(*, places: Sequence[str] = _PLACES, pools_max: int = POOLS_MAX) -> Users:
    """Take a free block. Raises `SandboxUnavailable` when there is none, or no place for the locks."""
    directory = _directory(places)
    try:
        for index in range(pools_max):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock = os.open(str(index), flags, 0o600, dir_fd=directory)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            return Users(UIDS_BASE + index * USERS_PER_POOL, lock)
    finally:
        os.close(directory)
    raise SandboxUnavailable(
        f"all {pools_max} blocks of users for cages are taken by other gateways on this machine",
        remedy="end gateways that are no longer needed, or run them as an unprivileged user",
    )


def _directory(places: Sequence[str]) -> int:
    for place in places:
        path = os.path.join(place, _NAME)
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        state = os.fstat(fd)
        if state.st_uid == os.geteuid() and not stat.S_IMODE(state.st_mode) & 0o077:
            return fd
        os.close(fd)  # somebody else's: its owner could take the locks away
    raise SandboxUnavailable(
        f"no directory of our own could be made in {' or '.join(places)} to say which users cages have",
        remedy="have one of them writable for root",
    )
