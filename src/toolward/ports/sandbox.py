"""A cage for one execution: what is run, how it ended, and what every sandbox must keep.

A stronger runtime (gVisor, a microVM) is another `Sandbox` that reports its own level.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from toolward.model.capability import IsolationReport, Scope

# --- what is run -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSource:
    """A function in a source text, which travels with the call: nothing has to be mounted for it."""

    text: str
    function: str
    filename: str = "<tool>"  # for tracebacks


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonModule:
    """An importable function. `search_paths` are absolute directories, granted for reading."""

    module: str
    function: str
    search_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonJob:
    """Call a function with JSON arguments by keyword; its result is JSON.

    With `interpreter`, the absolute path of another environment's Python, the function runs in that one;
    this starts a process anew and costs its start.
    """

    target: PythonSource | PythonModule
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # with the secrets' values
    interpreter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandJob:
    """Run a program. `argv[0]` is an absolute path, or a name on the cage's PATH; there is no shell."""

    argv: tuple[str, ...]
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # with the secrets' values
    cwd: str = ""  # empty: the scratch directory, or `/` where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmJob:
    """Call an export with numbers, or a WASI command's `_start`, whose stdout is then the result.

    With an empty `function` nothing is called: the value is the names of the functions that it exports.
    """

    module: bytes
    function: str = "_start"
    arguments: tuple[int | float, ...] = ()
    argv: tuple[str, ...] = ()
    stdin: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # with the secrets' values


Job = PythonJob | CommandJob | WasmJob

# --- how it ended ------------------------------------------------------------------------------------


class StopReason(StrEnum):
    """Why a job was stopped before it had an answer."""

    WALL = "wall_time"
    MEMORY = "memory"
    OUTPUT = "output"
    CPU = "cpu"
    PROCESSES = "processes"
    WRITTEN = "written"
    PROTOCOL = "protocol"  # its answer was not one frame of JSON
    DIED = "died"  # it ended without an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Where a job ran, and how long each step took. `steps` are (name, microseconds), in order."""

    report: IsolationReport
    steps: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The function returned; `value` is JSON and untrusted."""

    value: Any
    ran: Ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The function raised, or could not be found or imported; the texts are untrusted."""

    kind: str
    text: str
    ran: Ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """The program ended. `status` is its exit status, or minus the number of the signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes
    ran: Ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The cage was ended from outside; nothing of it is left."""

    reason: StopReason
    text: str
    ran: Ran


Ended = Value | Raised | Exited | Stopped

EgressOpened = Callable[[socket.socket], None]
"""Takes a listening socket, and owns it from then on: whatever connects to it comes from the cage."""


# --- the contracts -----------------------------------------------------------------------------------


class CagedProcess(Protocol):
    """A program that runs in a cage until it ends or is ended.

    The three descriptors are the caller's: it reads and writes them, and closes them. MUST end every
    process of the cage when the program ends, on `kill`, and when the gateway dies.
    """

    @property
    def stdin_fd(self) -> int:
        """Write end of a pipe."""
        ...

    @property
    def stdout_fd(self) -> int:
        """Read end of a pipe."""
        ...

    @property
    def stderr_fd(self) -> int:
        """Read end of a pipe."""
        ...

    @property
    def egress_listener(self) -> socket.socket | None:
        """The socket on which the cage's connections arrive, where the scope grants destinations."""
        ...

    @property
    def report(self) -> IsolationReport:
        """What holds this process."""
        ...

    def terminate(self) -> None:
        """Ask the program to end (SIGTERM). Does nothing if it is gone."""
        ...

    def kill(self) -> None:
        """End the whole cage at once. Does nothing if it is gone."""
        ...

    async def wait(self) -> int:
        """Wait until nothing of the cage is left; the exit status, or minus the signal's number."""
        ...


class Sandbox(Protocol):
    """Runs a job in a cage that holds exactly what `scope` grants.

    MUST start every job in a cage that served no other. MUST refuse with `SandboxUnavailable`, before
    anything runs, when the cage of its level can not be made, and MUST NOT run a job in a weaker one.
    MUST resolve granted paths without following links and bind what it resolved. MUST bound what it reads
    from a cage before it allocates, and MUST NOT unpickle or execute it. MUST end every process of a job
    before `run` returns when the scope writes, and soon after otherwise. MUST NOT let a job see the
    gateway's memory, environment or descriptors.
    """

    def report(self) -> IsolationReport:
        """What a cage of this sandbox is, as tried on this host."""
        ...

    async def run(self, job: Job, scope: Scope, *, on_egress: EgressOpened | None = None) -> Ended:
        """Run a job to its end.

        `on_egress` is called before the job begins if the scope grants destinations; without it nothing
        answers the cage. Raises `SandboxUnavailable`, `Overloaded` (no worker became free in time),
        `Denied` (a grant is missing on disk, a link, or not a file or directory), `BadArguments` (a job of
        a kind that this sandbox does not run). A cancelled `run` ends the cage.
        """
        ...

    async def start(self, command: CommandJob, scope: Scope) -> CagedProcess:
        """Start a long-lived program; `command.stdin` is ignored.

        `limits.wall_ms`, `cpu_s` and `written_bytes` do not hold.
        A running program can not be scoped again: its scope is one for all its calls. Raises as `run`.
        """
        ...

    async def prepare(self, scope: Scope, *, workers: int) -> None:
        """Keep `workers` cages ready that already hold `scope`; calls with an equal scope take them first."""
        ...

    async def close(self) -> None:
        """End every cage and every helper."""
        ...
