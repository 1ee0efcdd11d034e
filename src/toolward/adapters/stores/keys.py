"""The three keys of a ward's log: files that only the owner may read, made at the first start."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolward.errors import WardError

KEY_BYTES: Final = 32
_NAMES: Final = ("signing", "digest", "payload")
_FOREIGN: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """32 secret bytes each; none of them is ever shown, not even in a `repr`."""

    signing: bytes = field(repr=False)  # Ed25519 seed
    digest: bytes = field(repr=False)  # HMAC-SHA-256
    payload: bytes = field(repr=False)  # HMAC-SHA-256, from which the records' own keys are derived


def load_or_create_keys(directory: Path, *, may_create: bool) -> Keys:
    """The keys in `directory`; with `may_create` (there is no log yet) missing ones are made.

    Raises `WardError` when a key is missing, malformed, or open to anyone but its owner.
    """
    paths = {name: directory / f"{name}.key" for name in _NAMES}
    for path in paths.values():
        if path.exists():
            continue
        if not may_create:
            raise WardError(
                "a key of the audit log is missing",
                file=str(path),
                remedy="restore the `keys` directory from the backup that belongs to this database",
            )
        make_private_directory(directory)
        write_durably(path, os.urandom(KEY_BYTES))
    _refuse_open_directory(directory)
    return Keys(**{name: _read(path) for name, path in paths.items()})


def make_private_directory(directory: Path) -> None:
    """Make `directory`, and its parents, for the owner only; it is there after a power cut."""
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_directory(directory.parent)


def _refuse_open_directory(directory: Path) -> None:
    if stat.S_IMODE(directory.stat().st_mode) & _FOREIGN:
        raise WardError(
            "the directory of the log's keys is open to other users",
            file=str(directory),
            remedy=f"run `chmod 700 {directory}`, and make new keys if others may have read them",
        )


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & _FOREIGN:
            raise WardError(
                "a key of the audit log can be read by other users",
                file=str(path),
                remedy=f"run `chmod 600 {path}`, and make new keys if others may have read it",
            )
        data = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) != KEY_BYTES:
        raise WardError(
            "a key of the audit log does not hold 32 bytes",
            file=str(path),
            remedy="restore it from the backup",
        )
    return data


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` with `data` so that after a power cut there is the old or the new content, whole."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
