"""Control groups for cages, where this process was given a part of the tree: decision 13.

A group for each worker. What the kernel counts there is exact, ended processes included, and one write ends
all that is in it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from toolward.model.capability import Limits

WANTED: Final = ("memory", "pids")
"""Controllers with limits of ours; processor time is counted in every group."""
_PREFIX: Final = "toolward-"
_MARKS: Final = ("trusted.delegate", "user.delegate")
"""How a service manager says that a part of the tree is a service's own."""
_HELPERS: Final = 1
"""A program's is not the first process of its cage."""
_KERNEL_MIN: Final = (5, 17)
"""From then on it counts who opened the way into a group, not who goes it: workers are other users."""
_ENDING_S: Final = 2.0
_NUMBERS: Final = itertools.count(1)


class Leaf:
    """The group of one worker, at a place that is there."""

    def __init__(self, place: Path, controllers: tuple[str, ...]) -> None:
        self.controllers = controllers
        self._place = place
        # Opened here: whose descriptor it is decides whether it may be written, not who writes.
        self.entry = os.open(place / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def entered(self) -> None:
        """Nobody else goes in."""
        if self.entry >= 0:
            os.close(self.entry)
            self.entry = -1

    def hold(self, limits: Limits) -> None:
        """Set the limits of a scope. Raises `OSError`: then nothing may run."""
        if "memory" in self.controllers:
            self._write("memory.oom.group", "1")
            self._write("memory.max", str(limits.memory_bytes))
            if (self._place / "memory.swap.max").exists():  # not on a kernel without swap
                self._write("memory.swap.max", "0")
        if "pids" in self.controllers and limits.processes >= 0:
            self._write("pids.max", str(limits.processes + _HELPERS))

    def cpu_s(self) -> float:
        """Processor seconds of all that ever ran in it."""
        for line in self._read("cpu.stat").splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
        return 0.0

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended something here because of the limit."""
        lines = self._read("memory.events").splitlines() if "memory" in self.controllers else []
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def kill(self) -> None:
        """End everything in it."""
        with contextlib.suppress(OSError):
            self._write("cgroup.kill", "1")

    def remove(self) -> bool:
        """Whether it is gone; it is not while something is in it."""
        self.entered()
        try:
            self._place.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _write(self, name: str, text: str) -> None:
        (self._place / name).write_text(text)

    def _read(self, name: str) -> str:
        try:
            return (self._place / name).read_text()
        except OSError:
            return ""


class Groups:
    """A directory of groups below one that is ours."""

    def __init__(self, top: Path, controllers: tuple[str, ...]) -> None:
        self.controllers = controllers
        self._top = top
        self._next = 0
        self._leaving: list[Leaf] = []

    @classmethod
    def open(cls, bases: Sequence[Path] | None = None) -> Groups | None:
        """Make it below the first of `bases` where that works; None where nothing was given to us.

        This process stays where it is. Empty groups of gateways that are gone are removed.
        """
        if _kernel() < _KERNEL_MIN:
            return None
        for base in delegated() if bases is None else bases:
            _remove_left(base)
            top = base / f"{_PREFIX}{os.getpid()}-{next(_NUMBERS)}"
            try:
                top.mkdir()
                groups = cls(top, _enabled(base, top))
                _try(groups)
            except OSError:
                _remove(top)
                continue
            return groups
        return None

    def leaf(self) -> Leaf:
        """A new group. Raises `OSError`."""
        self._leaving = [each for each in self._leaving if not each.remove()]
        self._next += 1
        place = self._top / str(self._next)
        place.mkdir()
        return Leaf(place, self.controllers)

    def leave(self, leaf: Leaf) -> None:
        """Remove it, now or when what was in it is gone."""
        if not leaf.remove():
            self._leaving.append(leaf)

    def close(self) -> None:
        """End and remove all of them; waits for a moment for what is ending."""
        until = time.monotonic() + _ENDING_S
        while not _remove(self._top) and time.monotonic() < until:
            time.sleep(0.005)


def delegated(proc: Path = Path("/proc/self")) -> list[Path]:
    """Directories of the tree below which groups of ours may be made, the better one first.

    The parent of our own, where a service manager put us into a part of what it gave us; else our own.
    """
    own = _own_group(proc)
    if own is None:
        return []
    directory, is_top = own
    above = directory.parent
    found = [above] if not is_top and _is_given(above) and _empty(above) else []
    if is_top or _is_given(directory):
        found.append(directory)
    return [each for each in found if os.access(each / "cgroup.procs", os.W_OK)]


def _own_group(proc: Path) -> tuple[Path, bool] | None:
    """Our directory, and whether it is the top of the tree as we see it."""
    try:
        lines = (proc / "cgroup").read_text().splitlines()
        path = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
        root, place = next((each[3], each[4]) for each in mounts if each[each.index("-") + 1] == "cgroup2")
    except (OSError, StopIteration):
        return None
    if root not in {"/", path} and not path.startswith(root + "/"):
        return None  # mounted from elsewhere: what we see is not where we are
    below = path.removeprefix(root if root != "/" else "").strip("/")
    return Path(place) / below, path == "/"


def _is_given(directory: Path) -> bool:
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(directory, mark) == b"1":
                return True
    return False


def _empty(directory: Path) -> bool:
    """Controllers can not be enabled where processes are."""
    with contextlib.suppress(OSError):
        return not (directory / "cgroup.procs").read_text().strip()
    return False


def _enabled(base: Path, top: Path) -> tuple[str, ...]:
    """The wanted controllers that groups below `top` have now."""
    there = (base / "cgroup.controllers").read_text().split()
    for name in WANTED:
        if name in there:
            for place in (base, top):
                with contextlib.suppress(OSError):  # processes are in it, or it is not ours
                    (place / "cgroup.subtree_control").write_text(f"+{name}")
    return tuple(each for each in WANTED if each in (top / "cgroup.subtree_control").read_text().split())


def _try(groups: Groups) -> None:
    """Put a process in, hold it, end it. Raises `OSError`."""
    leaf = groups.leaf()
    try:
        leaf.hold(Limits())
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            try:
                os.write(leaf.entry, str(child.pid).encode())
                leaf.kill()
                child.wait(timeout=5)
            except subprocess.TimeoutExpired as late:
                raise OSError("what is in a group could not be ended") from late
            finally:
                child.kill()
    finally:
        groups.leave(leaf)


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


def _remove_left(base: Path) -> None:
    """Only what is empty: whose number we do not see may still be somewhere else's."""
    for place in base.glob(f"{_PREFIX}*"):
        pid = place.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            for each in (*_below(place), place):
                with contextlib.suppress(OSError):
                    each.rmdir()


def _remove(top: Path) -> bool:
    """Whether nothing of it is left."""
    for place in (*_below(top), top):
        with contextlib.suppress(OSError):
            (place / "cgroup.kill").write_text("1")
        with contextlib.suppress(OSError):
            place.rmdir()
    return not top.exists()


def _below(top: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from [each for each in top.iterdir() if each.is_dir()]
