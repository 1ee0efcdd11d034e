"""What an execution may touch: what the operator declares, and what one call is granted of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from toolward.model.egress import Grant

CPU_S: Final = 10
"""Processor seconds of all its processes together: a tool that needs more is a service."""
WALL_MS: Final = 60_000
"""One call; what MCP clients wait by default."""
MEMORY_BYTES: Final = 512 * 1024 * 1024
"""All processes of one cage together."""
PROCESSES: Final = 32
"""Processes and threads of one cage: enough for a shell pipeline, too few for a bomb."""
FILE_BYTES: Final = 64 * 1024 * 1024
"""The largest single file it may write."""
WRITTEN_BYTES: Final = 256 * 1024 * 1024
"""All that one call writes to disk: some files of the largest size."""
OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""One result, or stdout and stderr together."""
SCRATCH_BYTES: Final = 64 * 1024 * 1024
"""Its private temporary directory, which is memory."""
SCRATCH_INODES: Final = 20_000
"""Files in that directory: an inode costs the kernel about a kilobyte."""
OPEN_FILES: Final = 256
"""Descriptors of one process."""


class IsolationLevel(StrEnum):
    """How strong a cage is. `remote` is outside the order: what runs elsewhere is not caged here."""

    NONE = "none"
    LANDLOCK = "landlock"  # one kernel, one view of the machine, access taken away
    NAMESPACES = "namespaces"  # one kernel, a view of its own
    WASM = "wasm"  # no system calls at all
    OWN_KERNEL = "own_kernel"  # gVisor, a microVM
    REMOTE = "remote"

    @property
    def rank(self) -> int:
        """Position in the order, weakest first; -1 for `remote`."""
        return _RANK.get(self, -1)

    def reaches(self, minimum: IsolationLevel) -> bool:
        """Whether this is at least `minimum`. `remote` reaches only `none` and `remote`."""
        if self is IsolationLevel.REMOTE or minimum is IsolationLevel.REMOTE:
            return minimum in {self, IsolationLevel.NONE}
        return self.rank >= minimum.rank


_RANK: Final = {
    level: rank
    for rank, level in enumerate(
        (
            IsolationLevel.NONE,
            IsolationLevel.LANDLOCK,
            IsolationLevel.NAMESPACES,
            IsolationLevel.WASM,
            IsolationLevel.OWN_KERNEL,
        )
    )
}


class PathAccess(StrEnum):
    """What a grant allows. `read` is also listing and executing; `write` is also reading, never executing.

    `hide` takes away again: an empty directory covers what lies there.
    """

    READ = "read"
    WRITE = "write"
    HIDE = "hide"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathCapability:
    """A path that calls may touch.

    `template` is one of:

    - an absolute path: that path, for every call;
    - `{arg:NAME}`: the path that the argument NAME holds (a list of paths grants each);
    - `{dir:NAME}`: the directory in which that path lies, so that a file can be made or replaced there.

    The two with an argument need a `root`, an absolute path, and what they give lies inside it.
    """

    access: PathAccess
    template: str
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What no cage may show or write, whatever is granted: absolute paths.

    `hidden` are keys, logs and credentials: no grant may lie in them, and they are hidden where a grant holds
    them. `wards` are directories whose files decide: no tool may write in one, and one that may write
    directly above it does not see it.
    """

    hidden: tuple[str, ...] = ()
    wards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one execution may use up. Units last; `memory_bytes` is for all its processes together."""

    cpu_s: int = CPU_S
    wall_ms: int = WALL_MS
    memory_bytes: int = MEMORY_BYTES
    processes: int = PROCESSES
    file_bytes: int = FILE_BYTES
    output_bytes: int = OUTPUT_BYTES
    scratch_bytes: int = SCRATCH_BYTES
    scratch_inodes: int = SCRATCH_INODES
    open_files: int = OPEN_FILES
    written_bytes: int = WRITTEN_BYTES

    def as_json(self) -> dict[str, int]:
        """Canonical content. What was added later is left out where it has its default: no digest changes."""
        content = asdict(self)
        if self.written_bytes == WRITTEN_BYTES:
            del content["written_bytes"]
        return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the operator's manifest declares; nothing is granted that is not here."""

    paths: tuple[PathCapability, ...] = ()
    network: tuple[Grant, ...] = ()
    secrets: tuple[str, ...] = ()  # names; the values are the secret provider's
    environment: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(default_factory=Limits)

    def as_json(self) -> dict[str, Any]:
        """Canonical content for a version's digest: a wider grant is another version."""
        return {
            "paths": [
                {"access": path.access.value, "template": path.template, "root": path.root}
                for path in self.paths
            ],
            "network": [
                f"{grant.host}:{grant.port}{' private' if grant.unsafe_private else ''}"
                for grant in self.network
            ],
            "secrets": list(self.secrets),
            "environment": dict(self.environment),
            "limits": self.limits.as_json(),
        }


@dataclass(frozen=True, slots=True, order=True)
class PathGrant:
    """One path of one call, in `root`; both absolute and without `.`, `..` or doubled slashes."""

    path: str
    access: PathAccess
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one call, or one long-lived process, may touch: concrete, hashable, complete."""

    paths: tuple[PathGrant, ...] = ()
    network: tuple[Grant, ...] = ()
    secrets: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def writes(self) -> bool:
        """Whether anything that outlives the call can be changed."""
        return any(grant.access is PathAccess.WRITE for grant in self.paths)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationReport:
    """What a cage on this host really is; every field was tried, none is inferred from a version."""

    tier: IsolationLevel
    userns: bool = False
    mount_ns: bool = False
    pid_ns: bool = False
    net_ns: bool = False
    landlock_abi: int = 0
    seccomp: bool = False
    proc: bool = False  # a /proc of its own
    cgroup: tuple[str, ...] = ()  # what its control group holds or counts
    mem_total_enforced: str = "no"  # no | watchdog | cgroup
    gaps: tuple[str, ...] = ()  # what this cage does not stop, in plain words

    def as_json(self) -> dict[str, object]:
        """The form that results and the audit carry."""
        return {
            "tier": self.tier.value,
            "userns": self.userns,
            "mount_ns": self.mount_ns,
            "pid_ns": self.pid_ns,
            "net_ns": self.net_ns,
            "landlock_abi": self.landlock_abi,
            "seccomp": self.seccomp,
            "proc": self.proc,
            "cgroup": list(self.cgroup),
            "mem_total_enforced": self.mem_total_enforced,
            "gaps": list(self.gaps),
        }
