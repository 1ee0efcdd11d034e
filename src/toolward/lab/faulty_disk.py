"""A disk beneath SQLite that fails on command: the Nth write or sync, once or from then on, full or broken.

It can also lose its power: everything written since the last sync of each file is then taken back, which
is the worst that a disk may do to a program that syncs as it should.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import apsw
from typing_extensions import override

_NUMBERS = itertools.count(1)


class Fault(StrEnum):
    """What goes wrong."""

    BROKEN = "broken"  # EIO
    FULL = "full"  # ENOSPC: writes fail, syncs succeed


@dataclass(slots=True)
class _Unsynced:
    """How to take back what was not synced: (offset, bytes before), newest last, and the size before."""

    size: int = 0
    writes: list[tuple[int, bytes]] = field(default_factory=list)


class FaultyDisk(apsw.VFS):
    """Give its `name` as `vfs=` to what opens the database; keep a reference as long as that lives.

    Operations (writes, truncations, syncs) are counted in `operations`, from 1. Number `fail_at` fails
    with `fault`, and all after it if `lasting`. `only` counts, and fails, files whose names end so.
    """

    def __init__(
        self, *, fail_at: int = 0, fault: Fault = Fault.BROKEN, lasting: bool = False, only: str = ""
    ) -> None:
        """Registers itself with SQLite."""
        self.name = f"faulty-{next(_NUMBERS)}"
        self.fail_at = fail_at
        self.fault = fault
        self.lasting = lasting
        self.only = only
        self.operations = 0
        self.failures = 0
        self.unsynced: dict[str, _Unsynced] = {}
        super().__init__(self.name, "")

    @override
    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def step(self, path: str, *, writes: bool) -> None:
        """Count one operation and fail it if it is due."""
        if not path.endswith(self.only):
            return
        self.operations += 1
        due = self.fail_at and self.operations >= self.fail_at and (self.lasting or not self.failures)
        if not due or (
            self.fault is Fault.FULL and not writes
        ):  # a full disk still syncs: the next write fails
            return
        self.failures += 1
        if self.fault is Fault.FULL:
            raise apsw.FullError("no space left on this disk")
        raise apsw.IOError("this disk is broken")

    def lose_power(self) -> None:
        """Take back, in every file, all that was written after its last sync."""
        for path, undo in self.unsynced.items():
            try:
                with open(path, "r+b") as file:  # noqa: PTH123 -- a path as SQLite gave it
                    for offset, before in reversed(undo.writes):
                        file.seek(offset)
                        file.write(before)
                    file.truncate(undo.size)
            except FileNotFoundError:
                continue
        self.unsynced.clear()


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name or "")

    def _note(self, offset: int, length: int) -> None:
        size = self.xFileSize()
        undo = self._disk.unsynced.setdefault(self._path, _Unsynced(size))
        kept = max(min(length, size - offset), 0)
        undo.writes.append((offset, self.xRead(kept, offset) if kept else b""))

    @override
    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.step(self._path, writes=True)
        self._note(offset, len(data))
        super().xWrite(data, offset)

    @override
    def xTruncate(self, newsize: int) -> None:
        self._disk.step(self._path, writes=True)
        self._note(newsize, self.xFileSize())
        super().xTruncate(newsize)

    @override
    def xSync(self, flags: int) -> None:
        self._disk.step(self._path, writes=False)
        super().xSync(flags)
        self._disk.unsynced.pop(self._path, None)
