"""Every attempt: what is tried, where the idea comes from, in which cage, and with which control."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from types import ModuleType
from typing import Any, Final

from toolward.model.capability import Limits

_PAYLOADS: Final = "toolward.lab.escape.payloads"
_MODULES: Final = {
    "fs": "files", "env": "others", "fd": "others", "ipc": "others", "x": "others",
    "net": "networks", "k": "kernels", "r": "resources",
}  # fmt: skip
_MIB: Final = 1 << 20
TIGHT: Final = Limits(
    cpu_s=5,
    wall_ms=6_000,
    memory_bytes=160 * _MIB,
    processes=16,
    file_bytes=2 * _MIB,
    output_bytes=256 * 1024,
    scratch_bytes=8 * _MIB,
    scratch_inodes=500,
    open_files=128,
    written_bytes=8 * _MIB,
)
"""What the bombs are measured against; small, so that the controls are small too."""


class Control(StrEnum):
    """How the same payload is run without a cage."""

    USER = "user"  # the same kind of worker without any cage, as an ordinary user
    CHILD = "child"  # a plain child of the gateway: its environment, descriptors and terminal
    FORK = "fork"  # a fork of the gateway without exec: its memory
    ROOT = "root"  # a worker with root's capabilities, in mount, UTS and IPC namespaces to throw away
    NONE = "none"  # there is no such thing without a cage


class Via(StrEnum):
    """What runs the payload."""

    FUNCTION = "function"
    COMMAND = "command"
    DOOMED = "doomed"  # in a gateway that is killed meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row. `gap` begins the sentence with which a cage that does not stop it says so."""

    id: str
    source: str
    control: Control = Control.USER
    limits: Limits = TIGHT
    network: bool = False
    grants: bool = True  # a directory for writing, another for reading
    gap: str = ""
    via: Via = Via.FUNCTION
    reads_result: bool = False  # whether the host then reads `out` in the granted directory

    @property
    def what(self) -> str:
        """What is tried, in words."""
        if self.via is Via.COMMAND:
            return "output without end, on standard output and error"
        return (inspect.getdoc(getattr(_module(self.id), self.id)) or "").strip()

    @property
    def text(self) -> str:
        """The payload, with all it needs."""
        return _text(_module(self.id).__name__)


def _module(attempt: str) -> ModuleType:
    return importlib.import_module(f"{_PAYLOADS}.{_MODULES[re.sub('[0-9]', '', attempt)]}")


@cache
def _text(module: str) -> str:
    body = inspect.getsource(importlib.import_module(module))
    imports = re.compile(r"^from (?:__future__|toolward\.\S+) import (?:\([^)]*\)|.*)$", re.MULTILINE)
    return inspect.getsource(importlib.import_module(f"{_PAYLOADS}.prelude")) + imports.sub("", body)


def _rows(control: Control, listed: str, *, grants: bool = True) -> list[Attempt]:
    found = []
    for line in listed.strip().splitlines():
        name, _, source = line.strip().partition(" ")
        found.append(Attempt(id=name, source=source.strip(), control=control, grants=grants))
    return found


_BY_USER: Final = """
fs02 sandbox-runtime, codex
fs03 nsjail
fs04 codex
fs05 deno, compiler-explorer
fs06 Landlock REFER
fs07 sandbox-runtime
fs08 proc magic links
fs09 sandbox-runtime
fs10 Landlock's documented limits
fs11 Landlock's documented limits
fs12 Landlock's documented limits
fs13 nsjail
fs14 tmpfs quota
fs15 tmpfs quota
fs19 Landlock EXECUTE
fs20 mapped owners
fs21 results read by the gateway
fs22 renameat2
fs23 read-only grants
fs24 docker (shocker)
fs25 Landlock's limits
fs27 memfd
fs28 W^X
fs29 Landlock's limits
fs30 Landlock TRUNCATE
fs31 Landlock REMOVE_FILE
fs33 proc
fs32 Landlock's documented limits
fd2 runc CVE-2024-21626
fd3 pidfd_getfd
ipc1 codex, sandbox-runtime
ipc2 Landlock scopes
ipc3 codex
ipc4 Landlock scopes
ipc5 kilocode
ipc6 shared memory
ipc7 message queues
ipc8 pidfd
ipc9 prlimit
ipc10 proc
ipc11 message queues
ipc12 scheduling
ipc13 scheduling
ipc15 signals by descriptor
ipc14 the one kind of socket that is there
env3 sandbox-runtime
r01 nsjail
r02 nsjail
r03 memfd
r04 limits are of one process
r05 nsjail
r06 supervisors
r07 supervisors
r08 results
r09 zip bombs
r10 nsjail
r11 nsjail
r12 pipes
r13 supervisors
r15 timers
r17 mlock
r18 cores
r19 limits
r21 socket buffers
"""
_BY_USER_WITHOUT_GRANTS: Final = """
net1 codex, sandbox-runtime
net2 sandbox-runtime
net3 openshell
net4 codex
net5 sandbox-runtime
net9 autobind
k01 codex, sandbox-runtime
k04 userfaultfd
k05 docker
k06 sandbox-runtime, bubblewrap
k07 sandbox-runtime
k08 sandbox-runtime
k17 seccomp
k18 seccomp
k19 no_new_privs
k20 capabilities
k22 docker
k27 secret memory
k28 docker, gVisor
k29 seccomp
k31 docker
k32 docker
k33 docker
k35 persistent objects
k36 proc
k37 seccomp
"""
_BY_ROOT: Final = """
fs01 nsjail, codex
fs16 codex
fs17 gVisor
fs18 docker
fs26 fanotify
k02 gVisor
k03 perf
k09 mount
k10 sandbox-runtime
k11 sandbox-runtime
k12 chroot
k13 docker (shocker)
k14 setns
k21 docker
k23 docker
k24 docker
k25 docker
k26 new mount calls
k30 scheduling
k34 proc
"""
_BY_CHILD: Final = """
env1 sandbox-runtime, toolhive
env2 sandbox-runtime
fd1 runc CVE-2024-21626
k15 bubblewrap CVE-2017-5226
k16 snapd CVE-2019-7303
k38 bubblewrap
"""
_WITHOUT_CONTROL: Final = """
x01 length before allocation
x02 forged answers
x03 descriptors with answers
r20 workers serve once
"""
_CHANGED: Final[dict[str, dict[str, Any]]] = {
    "fs12": {"gap": "stat:"},
    "fs28": {"gap": "mmap:"},
    "fs32": {"gap": "stat:"},
    "r05": {"limits": replace(TIGHT, cpu_s=1)},
    "r14": {"limits": replace(TIGHT, processes=64)},
    "r06": {"limits": replace(TIGHT, wall_ms=1_000)},
}


def _all() -> tuple[Attempt, ...]:
    with_network = ("net6", "net7", "net8", "net10")
    found = [
        *_rows(Control.USER, _BY_USER),
        *_rows(Control.USER, _BY_USER_WITHOUT_GRANTS, grants=False),
        *_rows(Control.ROOT, _BY_ROOT),
        *_rows(Control.CHILD, _BY_CHILD),
        *_rows(Control.NONE, _WITHOUT_CONTROL),
        *(Attempt(id=name, source="Landlock's limits", network=True, grants=False) for name in with_network),
        Attempt(id="env4", source="forked helpers", control=Control.FORK),
        Attempt(id="r14", source="supervisors", via=Via.DOOMED),
        Attempt(id="r16", source="nsjail", via=Via.COMMAND),
    ]
    changed = [replace(each, **_CHANGED.get(each.id, {})) for each in found]
    kinds = list(_MODULES)
    changed = [replace(each, reads_result=each.id == "fs21") for each in changed]
    return tuple(
        sorted(
            changed, key=lambda a: (kinds.index(re.sub("[0-9]", "", a.id)), int(re.sub("[^0-9]", "", a.id)))
        )
    )


ATTEMPTS: Final = _all()
BY_ID: Final = {each.id: each for each in ATTEMPTS}
