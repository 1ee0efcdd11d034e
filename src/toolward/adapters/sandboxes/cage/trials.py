"""What this host really lets us do: each primitive is used in a process of its own, and a denial is seen."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from . import filters, kernel, landlock, mounts
from . import house as houses

_TEXT_MAX: Final = 300
_Trial = Callable[[dict[str, Any]], Any]


def run_all(order: dict[str, Any]) -> dict[str, list[Any]]:
    """For each primitive whether it works, and what it said: a value, or the error."""
    trials: dict[str, _Trial] = {
        "userns": _userns,
        "mount_ns": _mount_ns,
        "pid_ns": _pid_ns,
        "net_ns": _net_ns,
        "proc": _proc,
        "landlock": _landlock,
        "seccomp": _seccomp,
        "house": _house,
    }
    return {name: _in_fork(trial, order) for name, trial in trials.items()}


def _in_fork(trial: _Trial, order: dict[str, Any]) -> list[Any]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = [True, trial(order)]
        except BaseException as error:  # noqa: BLE001 -- whatever it is, it is the answer
            said = [False, str(error)[:_TEXT_MAX]]
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        heard = file.read()
    os.waitpid(pid, 0)
    return list(json.loads(heard)) if heard else [False, "it was killed"]


class _Unheld(Exception):
    """The primitive could be used, but did not hold."""


def _demoted_userns(order: dict[str, Any], more: int = 0) -> None:
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(*[order["uid"]] * 3)
        os.setresuid(*[order["uid"]] * 3)
        kernel.set_dumpable(on=True)
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEWUSER | more)
    houses.write_id_maps(proc, inside=houses.INSIDE_ID, outside_uid=uid, outside_gid=gid)


def _userns(order: dict[str, Any]) -> bool:
    _demoted_userns(order)
    if os.getuid() != houses.INSIDE_ID:
        raise _Unheld("the user is not mapped")
    return True


def _mount_ns(order: dict[str, Any]) -> bool:
    _demoted_userns(order, kernel.NEWNS)
    mount = mounts.new_filesystem("tmpfs", attributes=mounts.READ_ONLY, size="64k")
    mounts.attach(mount, "/tmp")
    try:
        os.mkdir("/tmp/x")
    except OSError:
        return True
    raise _Unheld("a read-only mount could be written")


def _pid_ns(order: dict[str, Any]) -> bool:
    _demoted_userns(order, kernel.NEWPID)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if os.getpid() == 1 else 1)
    if os.waitpid(pid, 0)[1]:
        raise _Unheld("the first process does not have number 1")
    return True


def _net_ns(order: dict[str, Any]) -> bool:
    _demoted_userns(order, kernel.NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        try:
            plain.connect(("192.0.2.1", 9))
        except OSError:
            return True
    raise _Unheld("there is a route out of a new network namespace")


def _proc(order: dict[str, Any]) -> bool:
    _demoted_userns(order, kernel.NEWPID | kernel.NEWNS)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(houses.new_proc())
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))
    return True


def _landlock(_: dict[str, Any]) -> int:
    version = landlock.abi()
    if not version:
        raise OSError(38, "the kernel has no landlock, or it is not in the list of `lsm=`")
    landlock.restrict_paths([("/usr", landlock.READ)], version=version)
    try:
        os.close(os.open("/", os.O_RDONLY))
    except PermissionError:
        return version
    raise _Unheld("what was taken away could be opened")


def _seccomp(_: dict[str, Any]) -> bool:
    filters.load_filter(filters.build_filter(network=False, own_view=True))
    try:
        socket.socket().close()
    except PermissionError:
        return True
    raise _Unheld("what was forbidden could be called")


def _house(order: dict[str, Any]) -> bool:
    """The whole view of a namespace cage, with what it binds."""
    houses.set_up({**order, "tier": houses.NAMESPACES})
    return True
