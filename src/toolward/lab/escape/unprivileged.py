"""A command as another user, in a mount namespace in which that user can read the interpreter.

`python -m toolward.lab.escape.unprivileged UID HOST COMMAND ...`, as root. An interpreter in a private home
is shown to this process and its children only. HOST is what else is simulated:

- `plain`: nothing;
- `no_userns`: no user namespace can be made (`user.max_user_namespaces` is 0 in the one that it runs in);
- `docker`: Docker's default seccomp profile, as far as it matters here;
- `docker_no_landlock`: the same, on a kernel without Landlock;
- `masked_proc`: parts of /proc are covered, as in a container.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import sysconfig
from enum import StrEnum
from pathlib import Path
from typing import Final

import toolward
from toolward.adapters.sandboxes.cage import bpf, kernel, mounts
from toolward.adapters.sandboxes.cage.filters import load_filter
from toolward.adapters.sandboxes.cage.house import write_id_maps
from toolward.adapters.sandboxes.cage.x86_64 import NUMBERS

UID: Final = 1_879_999_999
"""An ordinary user that nobody is: below the users of cages, above all others."""
_INSIDE: Final = 1_000
_PRIVATE: Final = 0x40000 | 0x4000
_BIND: Final = 0x1000
_ADMIN_ONLY: Final = """
unshare mount umount2 setns pivot_root open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
bpf perf_event_open
"""
_LANDLOCK: Final = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
_MASKED: Final = ("kcore", "keys", "timer_list")
_MASKED_DIRECTORIES: Final = ("acpi", "scsi", "sys")


class Host(StrEnum):
    """What is simulated."""

    PLAIN = "plain"
    NO_USERNS = "no_userns"
    DOCKER = "docker"
    DOCKER_NO_LANDLOCK = "docker_no_landlock"
    MASKED_PROC = "masked_proc"


def uncover(needed: list[str]) -> None:
    """Have everybody walk to these directories, in this mount namespace only."""
    trees = {path: mounts.clone_tree(path) for path in dict.fromkeys(needed)}
    blocked: dict[str, list[str]] = {}
    for path in trees:
        for parent in reversed(Path(path).parents):
            if not parent.stat().st_mode & stat.S_IXOTH:
                blocked.setdefault(str(parent), []).append(path)
                break
    for cover, below in blocked.items():
        mounts.attach(mounts.new_filesystem("tmpfs", attributes=0, size="1m", mode="755"), cover)
        for each in below:
            Path(each).mkdir(parents=True)
            mounts.attach(trees[each], each)


def _mask_proc() -> None:
    for name in _MASKED:
        if Path(f"/proc/{name}").exists():
            kernel.call("mount", b"/dev/null", f"/proc/{name}".encode(), None, _BIND, None)
    for name in _MASKED_DIRECTORIES:
        if Path(f"/proc/{name}").is_dir():
            kernel.call("mount", b"none", f"/proc/{name}".encode(), b"tmpfs", 1, None)


def _forbid_user_namespaces() -> None:
    """A user namespace of our own, in which none can be made below; not root in it, so no rights are kept."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    uid, gid = os.geteuid(), os.getegid()
    kernel.set_dumpable(on=True)
    kernel.unshare(kernel.NEWUSER)
    write_id_maps(proc, inside=_INSIDE, outside_uid=uid, outside_gid=gid)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    os.close(proc)


def _error(number: int) -> bpf.Body:
    return (bpf.give(bpf.ERRNO | number),)


def _docker_filter(*, landlock: bool) -> bytes:
    """Without CAP_SYS_ADMIN: no new namespace, no mount; no clone3, so that clone's flags are seen."""
    bodies: dict[int, bpf.Body] = {NUMBERS[name]: _error(errno.EPERM) for name in _ADMIN_ONLY.split()}
    bodies[NUMBERS["clone3"]] = _error(errno.ENOSYS)
    bodies[NUMBERS["clone"]] = (
        bpf.load(bpf.argument_low(0)),
        (bpf.JUMP_ANY_BIT, 0, 1, 0x7E020080),
        *_error(errno.EPERM),
        bpf.give(bpf.ALLOW),
    )
    if not landlock:
        bodies |= {NUMBERS[name]: _error(errno.ENOSYS) for name in _LANDLOCK.split()}
    return bpf.assemble(bodies, otherwise=(bpf.give(bpf.ALLOW),))


def become(uid: int, host: Host) -> None:
    """Be that user on that host, for good."""
    kernel.unshare(kernel.NEWNS)
    kernel.call("mount", None, b"/", None, _PRIVATE, None)
    uncover([os.path.realpath(sys.base_prefix), sysconfig.get_path("purelib"), sys.prefix, _sources()])
    if host is Host.MASKED_PROC:
        _mask_proc()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    match host:
        case Host.NO_USERNS:
            _forbid_user_namespaces()
        case Host.DOCKER | Host.DOCKER_NO_LANDLOCK:
            load_filter(_docker_filter(landlock=host is Host.DOCKER))
        case Host.PLAIN | Host.MASKED_PROC:
            pass


def _sources() -> str:
    return str(Path(toolward.__file__).resolve().parents[1])


def main() -> None:
    """Become that, and run the command."""
    become(int(sys.argv[1]), Host(sys.argv[2]))
    os.chdir("/")
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 -- the command is ours


if __name__ == "__main__":
    main()
