"""Processes of the measurement: starting, waiting for, ending, and reading what they spent."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.lab.toolchain import BUILD, SetupFailed

HOME: Final = BUILD / "bench"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_START_S: Final = 60.0
_LOOK_S: Final = 0.05
_UTIME: Final = 11  # in /proc/PID/stat, counted from behind the name
_PARENT: Final = 1


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ITS_OWN_NOTES: Final = {"XDG_CONFIG_HOME": str((HOME / "config").absolute())}
"""What is measured here is no ward of whoever measures."""


@contextlib.contextmanager
def child(
    name: str, command: Sequence[str | Path], *, port: int, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process that listens on `port`, its output in `build/bench/NAME.log`; yields its id.

    Raises `SetupFailed` when it does not listen within a minute.
    """
    log = HOME / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
    try:
        _wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(int(_START_S / _LOOK_S)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
            raise SetupFailed(f"`{log.stem}` ended: {log.read_text('utf-8', 'replace')[-2000:]}")
    raise SetupFailed(f"`{log.stem}` did not listen within {_START_S:.0f} s; see {log}")


def cpu_s(root: int) -> float:
    """User and system time so far of a process and its living descendants, all threads, in seconds."""
    return sum(_stat(pid)[1] for pid in _tree(root))


def machine_busy_s() -> float:
    """Time so far in which the machine's processors were not idle, or were somebody else's, in seconds."""
    user, nice, system, _, _, *rest = map(
        int, Path("/proc/stat").read_text("ascii").split("\n")[0].split()[1:9]
    )
    return (user + nice + system + sum(rest)) / _TICKS


def _tree(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 -- names only
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parents.setdefault(_stat(int(entry))[0], []).append(int(entry))
    found, fresh = [root], [root]
    while fresh:
        fresh = [kid for pid in fresh for kid in parents.get(pid, [])]
        found += fresh
    return found


def _stat(pid: int) -> tuple[int, float]:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return int(fields[_PARENT]), (int(fields[_UTIME]) + int(fields[_UTIME + 1])) / _TICKS


def thread_cpu_ns(name: str) -> int:
    """User and system time so far of this process's thread of that name, 0 when there is none."""
    for thread in threading.enumerate():
        if thread.name == name:
            stat = Path(f"/proc/self/task/{thread.native_id}/stat")
            fields = stat.read_text("ascii", "replace").rpartition(")")[2].split()
            return (int(fields[_UTIME]) + int(fields[_UTIME + 1])) * 1_000_000_000 // _TICKS
    return 0


class LineProcess:
    """A helper that takes and gives lines of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start `python -m MODULE`."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def tell(self, value: object) -> None:
        """One line to it. Raises `SetupFailed` when it is gone."""
        if self._process.stdin is None:
            raise SetupFailed("the helper has no input")
        try:
            self._process.stdin.write(orjson.dumps(value) + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise SetupFailed(f"a helper of the benchmark is gone: {error}") from error

    def hear(self) -> dict[str, Any]:
        """One line of it. Raises `SetupFailed` when it ended."""
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise SetupFailed("a helper of the benchmark ended early; what it wrote stands above")
        found: dict[str, Any] = orjson.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.terminate()
        self._process.wait()
