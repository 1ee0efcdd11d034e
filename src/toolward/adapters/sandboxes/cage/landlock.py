"""Landlock: access taken away from this process and all it starts, by the kernel's own documentation."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Sequence
from typing import Final

from . import kernel

_VERSION_FLAG: Final = 1
_RULE_PATH: Final = 1
_RULE_PORT: Final = 2
_NET_CONNECT: Final = 2
_NET_BOTH: Final = 3
_SCOPES: Final = 3  # abstract Unix sockets and signals stay inside
_ABI_NET: Final = 4
ABI_SCOPES: Final = 6

EXECUTE: Final = 1 << 0
WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
_MAKE_CHAR: Final = 1 << 6
_MAKE_BLOCK: Final = 1 << 11
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_BITS_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_BITS_NEWEST: Final = 16
_ALL: Final = (1 << _BITS_NEWEST) - 1
_FILE_ONLY: Final = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV

READ: Final = READ_FILE | READ_DIR
READ_EXECUTE: Final = READ | EXECUTE
WRITE: Final = _ALL & ~(EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
"""All but executing: what a cage can write it can not run."""
DEVICE: Final = READ_FILE | WRITE_FILE | READ_DIR


def abi() -> int:
    """The kernel's Landlock version, 0 if there is none."""
    try:
        return kernel.call("landlock_create_ruleset", 0, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(rules: Sequence[tuple[int, int]], *, version: int, connect_port: int = 0) -> None:
    """Take everything away but `rules`, pairs of an open path and access bits, and one port to connect to.

    `version` is what `abi` says. Descriptors stay open. Raises `OSError`.
    """
    handled = (1 << _BITS_BY_ABI.get(version, _BITS_NEWEST)) - 1
    words = [handled]
    if version >= _ABI_NET:
        words.append(_NET_BOTH)
    if version >= ABI_SCOPES:
        words.append(_SCOPES)
    attributes = struct.pack(f"{len(words)}Q", *words)
    ruleset = kernel.call("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for fd, access in rules:
            is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
            bits = access & handled & (_ALL if is_directory else _FILE_ONLY)
            kernel.call("landlock_add_rule", ruleset, _RULE_PATH, struct.pack("=Qi", bits, fd), 0)
        if connect_port and version >= _ABI_NET:
            rule = struct.pack("QQ", _NET_CONNECT, connect_port)
            kernel.call("landlock_add_rule", ruleset, _RULE_PORT, rule, 0)
        kernel.no_new_privileges()
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def restrict_paths(
    rules: Sequence[tuple[str, int]],
    *,
    version: int,
    connect_port: int = 0,
    fds: Sequence[tuple[int, int]] = (),
) -> None:
    """`restrict` by path; a path that is not there grants nothing."""
    with contextlib.ExitStack() as stack:
        opened = list(fds)
        for path, access in rules:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            stack.callback(os.close, fd)
            opened.append((fd, access))
        restrict(opened, version=version, connect_port=connect_port)
