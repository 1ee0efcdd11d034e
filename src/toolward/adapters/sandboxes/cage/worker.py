"""A worker: entered once, armed once, used once. It never returns."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from . import filters, frames, kernel, landlock, mounts, tool
from . import house as houses

PROXY_PORT: Final = 3128
_OWN_PROC: Final = (
    "fd",
    "fdinfo",
    "cmdline",
    "comm",
    "environ",
    "exe",
    "limits",
    "maps",
    "stat",
    "statm",
    "status",
)
"""Of a tool's own process files; not `net`, which is the machine's, and not what it has mounted."""
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP_RUNNING: Final = 0x41
_CLONED: Final = kernel.NEWUSER | kernel.NEWNS | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWCGROUP
_SCRATCH: Final = mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_EXEC


def warm_up(house: houses.House) -> None:
    """Do once what every worker would do."""
    if house.tier != houses.NONE:
        for network in (False, True):
            filters.build_filter(network=network, own_view=_own_view(house))
    if house.tier == houses.LANDLOCK:
        kernel.bound_capabilities()  # with namespaces each worker gets them anew, and does it itself
        house.stdlib = _open_stdlib() if house.uid else {}
        house.doors = _open_private(house.runtimes) if house.uid else {}
        _import_through(house.stdlib)


def fork_into(house: houses.House) -> int:
    """Fork; with namespaces the child is the first process of a new pid namespace."""
    if house.tier != houses.NAMESPACES:
        return os.fork()
    kernel.unshare(kernel.NEWPID)
    pid = os.fork()
    if pid:
        kernel.setns(house.pids, kernel.NEWPID)
    return pid


def main(conn: socket.socket, house: houses.House, request: dict[str, Any], entry: Sequence[int]) -> None:
    """Live one life; ends the process. `entry` leads into its control group."""
    status = 1
    try:
        if house.tier == houses.LANDLOCK:
            request["entry"] = entry  # its supervisor stays outside, and outlives what is ended inside
        else:
            _enter(entry)
        os.setsid()
        {houses.NAMESPACES: _namespaces, houses.LANDLOCK: _landlock, houses.NONE: _none}[house.tier](
            conn, house, request
        )
        status = 0
    except EOFError:
        status = 0  # the gateway no longer wants it
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the gateway has to hear of it
        _tell_fatal(conn, error)
    finally:
        os._exit(status)


def _enter(entry: Sequence[int]) -> None:
    for fd in entry:
        os.write(fd, b"0")
        os.close(fd)


def _tell_fatal(conn: socket.socket, error: BaseException) -> None:
    try:
        conn.sendall(frames.pack({"fatal": f"{type(error).__name__}: {error}"}))
    except OSError:
        pass


# --- namespaces --------------------------------------------------------------------------------------


def _namespaces(conn: socket.socket, house: houses.House, request: dict[str, Any]) -> None:
    proc = houses.new_proc() if house.has_proc else -1
    kernel.setns(house.view, kernel.NEWNS)
    _demote(house.uid)
    uid, gid = os.geteuid(), os.getegid()
    kernel.set_dumpable(on=True)  # changing the user took our own /proc files from us
    kernel.unshare(_CLONED | (kernel.NEWNET if request["network"] else 0))
    houses.write_id_maps(house.proc, inside=houses.INSIDE_ID, outside_uid=uid, outside_gid=gid)
    kernel.set_dumpable(on=False)
    kernel.die_with_parent()
    socket.sethostname("sandbox")
    if request["network"]:
        _open_egress(conn)
    kernel.bound_capabilities()
    tool.touch()
    spec, fds = frames.receive(conn)
    _mount(spec, fds, proc)
    kernel.drop_capabilities()
    rules = [("/", landlock.READ), ("/tmp", landlock.WRITE), ("/dev", landlock.DEVICE)]
    rules += [(path, landlock.READ_EXECUTE) for path in house.runtimes]
    rules += [(path, landlock.WRITE if w else landlock.READ_EXECUTE) for path, w in spec["paths"]]
    if house.landlock:
        landlock.restrict_paths(rules, version=house.landlock, connect_port=spec["port"])
    _lock(conn, spec, own_view=True)
    tool.serve(conn, spec)


def _demote(uid: int) -> None:
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _open_egress(conn: socket.socket) -> None:
    """Bring the loopback of this network namespace up, listen there, and hand the listener out."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    fcntl.ioctl(listener, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP_RUNNING))
    listener.bind(("127.0.0.1", PROXY_PORT))
    listener.listen(64)
    socket.send_fds(conn, [frames.pack({"egress": True})], [listener.fileno()])
    listener.close()


def _mount(spec: dict[str, Any], fds: list[int], proc: int) -> None:
    size, inodes = str(spec["limits"]["scratch_bytes"]), str(spec["limits"]["scratch_inodes"])
    scratch = mounts.new_filesystem("tmpfs", attributes=_SCRATCH, size=size, nr_inodes=inodes, mode="1777")
    if not spec["paths"]:
        mounts.attach(scratch, "/tmp")
        if proc >= 0:
            mounts.attach(proc, "/proc")
    else:
        _private_root(spec["paths"], fds, scratch, proc)
        for place in spec["hidden"]:  # only now: grants may lie in what is hidden
            mounts.set_attributes(fds[place], mounts.READ_ONLY, recursive=False)
    os.chdir("/tmp")


def _private_root(paths: list[tuple[str, bool]], fds: list[int], scratch: int, proc: int) -> None:
    """A root in which the granted paths have a place; the shared one is read-only, and seen by every cage."""
    base = "/tmp"
    attributes = mounts.NO_SUID | mounts.NO_DEVICES
    root = mounts.new_filesystem("tmpfs", attributes=attributes, size="1m", nr_inodes="8192", mode="755")
    within = {parent for path, _ in paths for parent in _parents(path)}
    mounts.attach(root, base)
    _mirror("/", base, within, os.stat("/").st_dev)
    os.makedirs(f"{base}/tmp", exist_ok=True)
    mounts.attach(scratch, f"{base}/tmp")
    if proc >= 0:
        mounts.attach(proc, f"{base}/proc")
    for (path, _), fd in sorted(zip(paths, fds, strict=True)):
        _place(base + path, fd)
        mounts.attach(fd, base + path)
    mounts.set_attributes(root, mounts.READ_ONLY | attributes, recursive=False)
    mounts.make_root(base)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(2, len(parts))]


def _mirror(source: str, base: str, within: set[str], device: int) -> None:
    """Show what the shared root holds: whole directories as they are, opened up where a grant lies within."""
    for entry in os.scandir(source):
        path = entry.path
        if entry.is_symlink():
            os.symlink(os.readlink(path), base + path)
        elif path in {"/tmp", "/proc"}:
            os.mkdir(base + path)
        elif path in within and entry.stat().st_dev == device:
            os.mkdir(base + path)
            _mirror(path, base, within, device)
        else:
            tree = mounts.clone_tree(path)
            _place(base + path, tree)
            mounts.attach(tree, base + path)
            os.close(tree)


def _place(path: str, fd: int) -> None:
    """Make the empty directory or file that a mount is put on, unless it is there."""
    if os.path.lexists(path):
        return
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.makedirs(path)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


# --- landlock ----------------------------------------------------------------------------------------


def _landlock(conn: socket.socket, house: houses.House, request: dict[str, Any]) -> None:
    uid = house.uid + 1 + request["slot"] if house.uid else 0  # a user for each: none can starve another
    _demote(uid)
    kernel.drop_capabilities()  # before anything is killed by user: root's `kill(-1)` ends the machine
    kernel.set_dumpable(on=False)
    kernel.become_subreaper()
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        # It must outlive a zygote that is killed: a tool can have told the kernel not to end it with its
        # parent. What ends it is the gateway's end of the socket.
        _supervise(conn, pid, own_user=bool(uid))
        return
    kernel.die_with_parent()
    if os.getppid() != supervisor:
        os._exit(0)
    _enter(request["entry"])
    os.setsid()
    tool.touch()
    spec, fds = frames.receive(conn)
    rules = [(path, landlock.READ_EXECUTE) for path in (*house.runtimes, "/etc/ssl", "/etc/alternatives")]
    small = ("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone")
    rules += [(path, landlock.READ) for path in (*small, *(f"/proc/self/{name}" for name in _OWN_PROC))]
    rules += [(f"/dev/{name}", landlock.DEVICE) for name in ("null", "zero", "full", "random", "urandom")]
    granted = [
        (fd, landlock.WRITE if writes else landlock.READ_EXECUTE)
        for (_, writes), fd in zip(spec["paths"], fds, strict=True)
    ]
    granted += [(fd, landlock.READ) for fd in house.stdlib.values()]
    granted += [(fd, landlock.READ_EXECUTE) for fd in house.doors.values()]
    doors = {**house.doors, **_doors_among(spec["paths"], fds)}
    landlock.restrict_paths(_readable(rules), version=house.landlock, connect_port=spec["port"], fds=granted)
    os.chdir("/")
    _lock(conn, spec, own_view=_own_view(house), keep=[*house.stdlib.values(), *doors.values()])
    tool.serve(conn, spec, doors)


def _doors_among(paths: list[tuple[str, bool]], fds: list[int]) -> dict[str, int]:
    """Granted for reading, and not to be walked to: what an environment in a ward's private state is."""
    return {
        path: fd
        for (path, writes), fd in zip(paths, fds, strict=True)
        if not writes and not os.access(path, os.R_OK) and stat.S_ISDIR(os.fstat(fd).st_mode)
    }


def _own_view(house: houses.House) -> bool:
    return house.tier == houses.NAMESPACES


def _open_stdlib() -> dict[str, int]:
    """The standard library's directories, where the user that the worker becomes may not walk to them."""
    found = [path for path in sys.path if os.path.isdir(path)]
    if all(houses.can_be_walked_to(path) for path in found):
        return {}
    return {path: os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in found}


def _open_private(paths: Sequence[str]) -> dict[str, int]:
    """Directories that programs run from and that the user whom the worker becomes may not walk to."""
    found = [path for path in paths if os.path.isdir(path) and not houses.can_be_walked_to(path)]
    return {path: os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in found}


def _import_through(stdlib: dict[str, int]) -> None:
    """Have imports find those directories by descriptor: nobody has to walk there then."""

    def moved(path: str) -> str:
        # The longest first: `lib-dynload` lies in the standard library's own directory.
        for known in sorted(stdlib, key=len, reverse=True):
            if path == known or path.startswith(known + "/"):
                return f"/proc/self/fd/{stdlib[known]}{path[len(known) :]}"
        return path

    if stdlib:
        sys.path[:] = [moved(path) for path in sys.path]
        for module in list(sys.modules.values()):
            if isinstance(getattr(module, "__path__", None), list):
                module.__path__[:] = [moved(path) for path in module.__path__]
        sys.path_importer_cache.clear()


def _readable(rules: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(path, access) for path, access in rules if os.access(path, os.R_OK)]


def _supervise(conn: socket.socket, pid: int, *, own_user: bool) -> None:
    """Wait for the tool or for the gateway, then end every descendant."""
    poll = select.poll()
    poll.register(os.pidfd_open(pid), select.POLLIN)
    poll.register(conn, select.POLLRDHUP | select.POLLHUP)
    poll.poll()
    while True:
        if own_user:
            _kill(-1, signal.SIGKILL)
        else:
            for each in _descendants(os.getpid()):
                _kill(each, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.0005)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                for child in map(int, file.read().split()):
                    found += [child, *_descendants(child)]
    except OSError:
        pass  # it ended while we looked
    return found


# --- none --------------------------------------------------------------------------------------------


def _none(conn: socket.socket, _house: houses.House, _request: dict[str, Any]) -> None:
    kernel.die_with_parent()
    tool.touch()
    spec, fds = frames.receive(conn)
    for fd in fds:
        os.close(fd)
    tool.serve(conn, spec)


# --- what all cages have -----------------------------------------------------------------------------


def _lock(conn: socket.socket, spec: dict[str, Any], *, own_view: bool, keep: Sequence[int] = ()) -> None:
    """Close every other descriptor, set the limits, and load the filter last."""
    kernel.close_all_but((conn.fileno(), *keep))
    _set_limits(spec["limits"], address_space=spec["address_space"])
    filters.load_filter(filters.build_filter(network=bool(spec["port"]), own_view=own_view))


def _set_limits(limits: dict[str, int], *, address_space: bool) -> None:
    # RLIMIT_AS counts reserved space, of which some runtimes take terabytes: only where it is our Python.
    memory = resource.RLIMIT_AS if address_space else resource.RLIMIT_DATA
    for kind, wanted in (
        (memory, limits["memory_bytes"]),
        (resource.RLIMIT_CORE, 1),  # not 0: that would still start a program that `core_pattern` names
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        # Of one process; the gateway counts all together, and should be the one who says so.
        (resource.RLIMIT_CPU, limits["cpu_s"] + 1 if limits["cpu_s"] >= 0 else -1),
        (resource.RLIMIT_SIGPENDING, 256),
    ):
        if wanted < 0:
            continue
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
