"""System calls that the standard library has no name for. A failure is an `OSError` that names the call."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from typing import Any, Final

from .x86_64 import NUMBERS

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_RESOLVE_NO_XDEV: Final = 0x01
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_AT_FDCWD: Final = -100
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SECUREBITS_LOCKED: Final = 0x2F  # NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, each locked; no ambient raise
_CAPABILITY_VERSION: Final = 0x20080522
_CAPABILITIES: Final = 64  # bits that the call takes; more than there are
_SIGKILL: Final = 9

NEWNS: Final = 0x00020000
NEWCGROUP: Final = 0x02000000
NEWUTS: Final = 0x04000000
NEWIPC: Final = 0x08000000
NEWUSER: Final = 0x10000000
NEWPID: Final = 0x20000000
NEWNET: Final = 0x40000000


def machine_supported() -> bool:
    """Whether the system call table here is this machine's."""
    return platform.machine() == "x86_64" and struct.calcsize("P") == 8  # noqa: PLR2004 -- bytes of a pointer


def call(name: str, *arguments: Any) -> int:
    """Make one system call. Integers are passed as 64 bits, bytes as a pointer. Raises `OSError`."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(NUMBERS[name]), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option: int, *arguments: int) -> int:
    """`prctl(2)`."""
    return call("prctl", option, *(*arguments, 0, 0, 0, 0)[:4])


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. Forgotten on every change of user."""
    prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def set_dumpable(*, on: bool) -> None:
    """Whether others of this user may look into this process, and whether it owns its own /proc files."""
    prctl(_PR_SET_DUMPABLE, int(on))


def become_subreaper() -> None:
    """Inherit orphaned descendants."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """Make setuid programs and file capabilities without effect, for good."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def bound_capabilities() -> None:
    """Have no program that is started from here on get a capability; those held now stay."""
    try:
        for capability in range(_CAPABILITIES):
            prctl(_PR_CAPBSET_DROP, capability)
    except OSError:
        pass  # the end of the kernel's list, or no right to drop any


def drop_capabilities() -> None:
    """Give up every capability that is held now, and the ways to gain one."""
    try:
        prctl(_PR_SET_SECUREBITS, _SECUREBITS_LOCKED)
    except OSError:
        pass  # without a capability there is nothing to lock
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    call("capset", struct.pack("Ii", _CAPABILITY_VERSION, 0), bytes(24))


def unshare(flags: int) -> None:
    """`unshare(2)`."""
    call("unshare", flags)


def setns(fd: int, kind: int) -> None:
    """`setns(2)`."""
    call("setns", fd, kind)


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor but 0, 1, 2 and `keep`."""
    first = 3
    for fd in sorted({each for each in keep if each >= first}):
        if fd > first:
            call("close_range", first, fd - 1, 0)
        first = fd + 1
    call("close_range", first, 0xFFFFFFFF, 0)


def open_plain(path: str, *, flags: int) -> int:
    """Open an absolute path in which no component is a link of any kind."""
    return _openat2(_AT_FDCWD, path, flags, _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)


def open_beneath(directory: int, path: str, *, flags: int, one_filesystem: bool = False) -> int:
    """Open a relative path that stays beneath `directory` and meets no link; optionally no mount either."""
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    return _openat2(directory, path, flags, resolve | (_RESOLVE_NO_XDEV if one_filesystem else 0))


def _openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    return call("openat2", directory, os.fsencode(path), how, len(how))
