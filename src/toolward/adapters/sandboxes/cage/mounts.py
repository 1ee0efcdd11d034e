"""Mounts by descriptor: a tree is made where nothing can see it, and moved into place."""

from __future__ import annotations

import os
import struct
from typing import Final

from . import kernel

_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_OPEN_TREE_CLOEXEC: Final = 0o2000000
_MOVE_FROM_EMPTY: Final = 0x04
_MOVE_TO_EMPTY: Final = 0x40
_FSOPEN_CLOEXEC: Final = 1
_FSMOUNT_CLOEXEC: Final = 1
_SET_STRING: Final = 1
_CREATE: Final = 6
_MNT_DETACH: Final = 2
_MS_REC: Final = 0x4000
_MS_SLAVE: Final = 0x80000

READ_ONLY: Final = 0x01
NO_SUID: Final = 0x02
NO_DEVICES: Final = 0x04
NO_EXEC: Final = 0x08
_IDMAP: Final = 0x00100000


def new_filesystem(kind: str, *, attributes: int, **options: str) -> int:
    """A new, detached mount of a file system type; returns its descriptor."""
    context = kernel.call("fsopen", kind.encode(), _FSOPEN_CLOEXEC)
    try:
        for name, value in options.items():
            kernel.call("fsconfig", context, _SET_STRING, name.encode(), value.encode(), 0)
        kernel.call("fsconfig", context, _CREATE, None, None, 0)
        return kernel.call("fsmount", context, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def clone_tree(path: str, *, directory: int = _AT_FDCWD) -> int:
    """A detached copy of the mounts at and below a path, or at the descriptor itself with an empty path."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE | (0 if path else _AT_EMPTY_PATH)
    return kernel.call("open_tree", directory, os.fsencode(path), flags)


def set_attributes(mount: int, attributes: int, *, recursive: bool = True, path: str = "") -> None:
    """Add attributes to a mount, and to those below it."""
    flags = (0 if path else _AT_EMPTY_PATH) | (_AT_RECURSIVE if recursive else 0)
    packed = struct.pack("4Q", attributes, 0, 0, 0)
    kernel.call("mount_setattr", mount, os.fsencode(path), flags, packed, len(packed))


def map_owner(mount: int, user_namespace: int) -> None:
    """Show the files of a detached mount with the owners that a user namespace maps them to."""
    packed = struct.pack("4Q", _IDMAP, 0, 0, user_namespace)
    kernel.call("mount_setattr", mount, b"", _AT_EMPTY_PATH, packed, len(packed))


def attach(mount: int, path: str, *, directory: int = _AT_FDCWD) -> None:
    """Move a detached mount to a path."""
    kernel.call("move_mount", mount, b"", directory, os.fsencode(path), _MOVE_FROM_EMPTY)


def attach_tree(path: str, target: str, *, directory: int) -> None:
    """Move an attached mount of this namespace to `target`, relative to `directory`."""
    kernel.call("move_mount", _AT_FDCWD, os.fsencode(path), directory, os.fsencode(target), 0)


def follow_host_only() -> None:
    """Let mounts of the host come in here, and none of ours go out."""
    kernel.call("mount", None, b"/", None, _MS_REC | _MS_SLAVE, None)


def make_root(path: str) -> None:
    """Make a mount the root, and let go of the old one with all that is below it."""
    os.chdir(path)
    kernel.call("pivot_root", b".", b".")
    kernel.call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
