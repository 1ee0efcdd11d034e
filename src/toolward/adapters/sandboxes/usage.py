"""What the processes of a cage used up together, from /proc: limits of one process do not hold many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_COUNTED: Final = ("RssAnon:", "RssShmem:")
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_KIB: Final = 1024
_SOCKET_BYTES: Final = 212_992
"""What the kernel may hold for one socket: its default buffer, its own records included."""
_DESCRIPTORS_FREE: Final = 16
"""Of each process, not looked at: what ordinary programs have open."""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_FIRST_TIME: Final = 11  # of the fields behind the name: user and system time, its own and its children's


@dataclass(slots=True, kw_only=True)
class Use:
    """Of a process and its descendants, those included that they waited for. `alive`: whether any is."""

    alive: bool = False
    memory_bytes: int = 0
    tasks: int = 0  # threads count
    cpu_s: float = 0.0
    written_bytes: int = 0
    sockets: set[str] = field(default_factory=set)


class Written(StrEnum):
    """How what was written is counted: a line of a process's `io`."""

    TO_DISK = "write_bytes"  # what will go to a disk, by whatever means it was written
    AT_ALL = "wchar"  # for file systems that are memory, where the other is always 0; pipes count, too


def use_of(pid: int, *, cpu: bool, written: Written | None = None) -> Use:
    """Add it up. Memory is anonymous and shared memory, and what the kernel may hold for sockets.

    No limit of a process counts the latter: a tool could take several times its memory so. What a process
    has written can be seen of programs, and by root of everything; else it is 0.
    """
    use, todo = Use(), [pid]
    unseen = 0
    while todo:
        each = todo.pop()
        _add_status(each, use)
        unseen += _descriptors(each, use.sockets)
        if cpu:
            use.cpu_s += _cpu_s(each)
        if written is not None:
            use.written_bytes += _written_bytes(each, written)
        todo += _children(each)
    use.alive = use.memory_bytes > 0  # a process that lives holds something
    if use.alive:
        use.memory_bytes += _SOCKET_BYTES * (len(use.sockets) + unseen)
    return use


def tasks_of_user(uid: int) -> int:
    """How many threads of all processes on this machine are a user's, as the kernel counts for its limit."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            lines = _status(int(name))
            if any(line.startswith("Uid:") and int(line.split()[1]) == uid for line in lines):
                count += _number(lines, "Threads:")
    return count


def _descriptors(pid: int, sockets: set[str]) -> int:
    """Add the sockets of a process that has many descriptors; where they can not be seen, count those."""
    directory = f"/proc/{pid}/fd"
    count = 0
    try:
        count = os.stat(directory).st_size  # how many are open; 0 before Linux 6.2
        if 0 < count <= _DESCRIPTORS_FREE:
            return 0
        for name in os.listdir(directory):
            target = os.readlink(f"{directory}/{name}")
            if target.startswith("socket:"):
                sockets.add(target)
    except PermissionError:
        return max(0, count - _DESCRIPTORS_FREE)
    except OSError:
        return 0
    return 0


def _add_status(pid: int, use: Use) -> None:
    lines = _status(pid)
    use.memory_bytes += sum(int(line.split()[1]) * _KIB for line in lines if line.startswith(_COUNTED))
    use.tasks += _number(lines, "Threads:")


def _status(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _number(lines: list[str], name: str) -> int:
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def _cpu_s(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return 0.0
    fields = text[text.rindex(b")") + 2 :].split()  # a tool chooses its name, brackets included
    return sum(map(int, fields[_FIRST_TIME : _FIRST_TIME + 4])) / _TICKS_PER_S


def _written_bytes(pid: int, what: Written) -> int:
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return _number(file.read().splitlines(), f"{what.value}:")
    except OSError:
        return 0


def in_memory(paths: Iterable[str]) -> bool:
    """Whether any of these lies on a file system that is memory."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            place, kind = line.split()[4], line.partition(" - ")[2].split()[0]
            found[place.replace("\\040", " ")] = kind
    return any(_kind_at(path, found) in _IN_MEMORY for path in paths)


def _kind_at(path: str, mounts: Mapping[str, str]) -> str:
    while path not in mounts and path != "/":
        path = path.rpartition("/")[0] or "/"
    return mounts.get(path, "")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # it ended while we looked
    return found
