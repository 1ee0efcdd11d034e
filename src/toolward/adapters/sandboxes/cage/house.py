"""What a zygote sets up once and every worker starts from: namespaces, and the view that cages have."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any, Final

from . import kernel, mounts

NAMESPACES: Final = "namespaces"
LANDLOCK: Final = "landlock"
NONE: Final = "none"

INSIDE_ID: Final = 1000
"""Who a tool is in its own user namespace."""
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_ETC_COPIED: Final = ("ld.so.cache", "nsswitch.conf", "mime.types", "services", "protocols")
_ETC_BOUND: Final = ("alternatives", "ssl", "ca-certificates", "pki")
_ETC_WRITTEN: Final = {
    "passwd": f"tool:x:{INSIDE_ID}:{INSIDE_ID}::/tmp:/bin/sh\n",
    "group": f"tool:x:{INSIDE_ID}:\n",
    "hosts": "127.0.0.1 localhost\n",
}
_ETC_BYTES_MAX: Final = 1 << 20
_READ_ONLY: Final = mounts.READ_ONLY | mounts.NO_SUID | mounts.NO_DEVICES


class Unfit(Exception):
    """This host or interpreter can not do what the tier needs; the text says what and how to mend it."""


@dataclass(kw_only=True)
class House:
    """The zygote's own state. `uid` is whom workers become, 0 for nobody else."""

    tier: str
    uid: int
    runtimes: tuple[str, ...]  # directories that every cage sees, read-only
    landlock: int
    view: int = -1  # the mount namespace of cages
    outside: int = -1  # the mount namespace in which grants are resolved
    pids: int = -1  # the zygote's own pid namespace
    proc: int = -1  # the host's /proc, to write id maps
    has_proc: bool = True
    doors: dict[str, int] = field(default_factory=dict)  # directory -> descriptor, if not to be walked to
    stdlib: dict[str, int] = field(default_factory=dict)  # directory -> descriptor, if private
    owners: dict[int, int] = field(default_factory=dict)  # owner on disk -> user namespace for mapped mounts


def set_up(order: dict[str, Any]) -> House:
    """Prepare this process as a zygote. Raises `Unfit` or `OSError`."""
    from . import landlock  # noqa: PLC0415 -- keeps a cycle away

    house = House(
        tier=order["tier"],
        uid=order["uid"] if os.geteuid() == 0 else 0,
        runtimes=tuple(order["runtimes"]),
        landlock=landlock.abi(),
    )
    if house.tier == NAMESPACES:
        _enter_namespaces(house)
        _build_view(house)
    elif house.tier == LANDLOCK and not house.landlock:
        raise Unfit("the kernel has no landlock: boot with `lsm=landlock,...`")
    return house


def write_id_maps(proc: int, *, inside: int, outside_uid: int, outside_gid: int) -> None:
    """Map one user and one group of the parent namespace into the one just made."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {outside_uid} 1"),
        ("gid_map", f"{inside} {outside_gid} 1"),
    ):
        fd = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _enter_namespaces(house: House) -> None:
    house.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if os.geteuid() == 0:
        kernel.unshare(kernel.NEWNS | kernel.NEWNET | kernel.NEWPID)
    else:
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.NEWUSER | kernel.NEWNS | kernel.NEWNET | kernel.NEWPID)
        write_id_maps(house.proc, inside=0, outside_uid=uid, outside_gid=gid)
    _go_on_inside()
    # The network namespace above has no interface that is up, and is the one of every cage without network:
    # making one for each costs more than all the rest, and no socket can be made in any of them anyway.
    mounts.follow_host_only()
    house.outside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    house.pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def _go_on_inside() -> None:
    """Go on as the first process of the new pid namespace, so that each cage ends with the zygote.

    A tool can tell the kernel not to end it with its parent; it can not leave this namespace. Besides, only
    root could return to the machine's own.
    """
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)
    kernel.die_with_parent()


# --- the view ----------------------------------------------------------------------------------------


def _build_view(house: House) -> None:
    kernel.unshare(kernel.NEWNS)
    house.view = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    base = "/tmp"
    root = mounts.new_filesystem(
        "tmpfs", attributes=mounts.NO_SUID | mounts.NO_DEVICES, size="8m", nr_inodes="4096", mode="755"
    )
    # What is bound is opened first: the new tree hides `base`, and a runtime may lie below it.
    trees = {path: _tree(path) for path in house.runtimes if not os.path.islink(path)}
    etc = {name: _tree(f"/etc/{name}") for name in _ETC_BOUND if os.path.isdir(f"/etc/{name}")}
    copied = {name: _small_file(f"/etc/{name}") for name in _ETC_COPIED if os.path.isfile(f"/etc/{name}")}
    zone = _zone()
    links = {path: os.readlink(path) for path in house.runtimes if os.path.islink(path)}
    mounts.attach(root, base)
    for path, target in links.items():
        os.symlink(target, base + path)
    for path, tree in trees.items():
        _attach_over(tree, base + path)
    os.makedirs(base + "/etc", exist_ok=True)
    for name, tree in etc.items():
        _attach_over(tree, f"{base}/etc/{name}")
    for name, body in {**copied, **{k: v.encode() for k, v in _ETC_WRITTEN.items()}}.items():
        _write(f"{base}/etc/{name}", body)
    _set_clock(base, zone)
    _add_devices(base)
    for name in ("proc", "tmp"):
        os.mkdir(f"{base}/{name}")
    mounts.set_attributes(root, _READ_ONLY, recursive=False)
    os.close(root)
    kernel.call("mount", None, base.encode(), None, 0x40000 | 0x4000, None)  # private, recursively
    mounts.make_root(base)
    house.runtimes = tuple(path for path in house.runtimes if path in trees)
    house.has_proc = _can_mount_proc(house)
    kernel.setns(house.outside, kernel.NEWNS)


def _tree(path: str) -> int:
    tree = mounts.clone_tree(path)
    mounts.set_attributes(tree, _READ_ONLY)
    return tree


def _attach_over(tree: int, path: str) -> None:
    os.makedirs(path, exist_ok=True)
    mounts.attach(tree, path)
    os.close(tree)


def _add_devices(base: str) -> None:
    os.makedirs(base + "/dev/shm")
    for name in _DEVICES:
        _write(f"{base}/dev/{name}", b"")
        device = mounts.clone_tree(f"/dev/{name}")
        mounts.set_attributes(device, mounts.NO_SUID | mounts.NO_EXEC)
        mounts.attach(device, f"{base}/dev/{name}")
        os.close(device)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{base}/dev/{name}")


def _zone() -> dict[str, str | bytes]:
    """How this machine says which zone its clock is in: a link whose target is its name, or a file."""
    found: dict[str, str | bytes] = {}
    for path in ("/etc/localtime", "/etc/timezone"):
        if os.path.islink(path) and os.path.realpath(path).startswith("/usr/"):
            found[path] = os.path.realpath(path)
        elif os.path.isfile(path):
            found[path] = _small_file(path)
    return found


def _set_clock(base: str, zone: dict[str, str | bytes]) -> None:
    for path, what in zone.items():
        if isinstance(what, str):
            os.symlink(what, base + path)
        else:
            _write(base + path, what)


def _write(path: str, body: bytes) -> None:
    with open(path, "wb") as file:
        file.write(body)


def _small_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_ETC_BYTES_MAX)


def new_proc() -> int:
    """A /proc of this process's pid namespace, with nothing in it but processes."""
    attributes = mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_EXEC
    return mounts.new_filesystem("proc", attributes=attributes, subset="pid", hidepid="invisible")


def _can_mount_proc(house: House) -> bool:
    """Try it in a pid namespace: a host with parts of /proc covered refuses it."""
    kernel.unshare(kernel.NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(new_proc())
        except OSError:
            os._exit(1)
        os._exit(0)
    kernel.setns(house.pids, kernel.NEWPID)
    return os.waitpid(pid, 0)[1] == 0


# --- grants ------------------------------------------------------------------------------------------


class Refused(Exception):
    """A path can not be granted; the text says why, without saying what is there."""

    remedy = "name an existing file or directory by its real path"


class OnlyItsOwners(Refused):
    """A path that others may not write to, where each call is another user and owners are not mapped."""

    remedy = (
        "let others write there (`chmod o+rwx`), declare it under `read`, or run on a host that reaches"
        " `namespaces`: toolward doctor says how"
    )


def resolve(house: House, root: str, path: str, *, writes: bool) -> int:
    """The vetted path as a detached mount (or, for Landlock, an open path). Raises `Refused`."""
    flags = os.O_PATH
    try:
        top = kernel.open_plain(root, flags=flags)
    except OSError as error:
        raise Refused(_why(error, "its root")) from error
    try:
        relative = os.path.relpath(path, root)
        fd = top if relative == "." else kernel.open_beneath(top, relative, flags=flags)
    except OSError as error:
        os.close(top)
        raise Refused(_why(error, "it")) from error
    if fd != top:
        os.close(top)
    state = os.fstat(fd)
    if not (stat.S_ISDIR(state.st_mode) or stat.S_ISREG(state.st_mode)):
        os.close(fd)
        raise Refused("it is neither a directory nor a regular file")
    if house.tier != NAMESPACES:
        if writes and house.uid and not _open_to_others(state, path):
            os.close(fd)
            raise OnlyItsOwners("only its owner may write there, and here each call is a user of its own")
        return fd
    try:
        return _detached(house, fd, state, writes=writes)
    except OSError as error:
        raise Refused(f"it can not be mounted ({error})") from error
    finally:
        os.close(fd)


def _open_to_others(state: os.stat_result, path: str) -> bool:
    """Whether a user who owns nothing may walk there and write."""
    wanted = 0o7 if stat.S_ISDIR(state.st_mode) else 0o6
    return state.st_mode & wanted == wanted and can_be_walked_to(path)


def can_be_walked_to(path: str) -> bool:
    """Whether everybody may pass through the directories above a path."""
    parts = path.split("/")
    above = ["/".join(parts[:end]) for end in range(2, len(parts))]
    return all(os.stat(each).st_mode & stat.S_IXOTH for each in above)


def hide(house: House) -> int:
    """An empty directory to cover what lies inside a grant. Raises `Refused` where nothing can be covered."""
    if house.tier != NAMESPACES:
        raise Refused("without mounts nothing inside a granted directory can be hidden")
    attributes = mounts.NO_SUID | mounts.NO_DEVICES | mounts.NO_EXEC
    return mounts.new_filesystem("tmpfs", attributes=attributes, size="64k", nr_inodes="128", mode="777")


def _why(error: OSError, what: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{what} does not exist"
    if error.errno in (40, 18):  # ELOOP, EXDEV: how the kernel says that a link or `..` was met
        return f"{what} is, or leads through, a symbolic link: declare the place it points to"
    return f"{what} can not be opened ({error.strerror})"


def _detached(house: House, fd: int, state: os.stat_result, *, writes: bool) -> int:
    tree = mounts.clone_tree("", directory=fd)
    attributes = mounts.NO_SUID | mounts.NO_DEVICES | (mounts.NO_EXEC if writes else mounts.READ_ONLY)
    mounts.set_attributes(tree, attributes)
    if house.uid and state.st_uid != house.uid:
        try:
            mounts.map_owner(tree, _owner_namespace(house, state.st_uid, state.st_gid))
        except OSError:
            pass  # a file system without mapped owners: the usual permissions decide
    return tree


def _owner_namespace(house: House, uid: int, gid: int) -> int:
    """A user namespace that maps a path's owner to the worker's user, so that a grant can be used."""
    key = uid << 32 | gid
    if key not in house.owners:
        house.owners[key] = _make_owner_namespace(house, uid, gid)
    return house.owners[key]


def _make_owner_namespace(house: House, uid: int, gid: int) -> int:
    go_r, go_w = os.pipe()
    made_r, made_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.unshare(kernel.NEWUSER)
            os.write(made_w, b"1")
            os.read(go_r, 1)
        finally:
            os._exit(0)
    try:
        os.close(made_w)
        if os.read(made_r, 1) != b"1":
            raise OSError(1, "no user namespace could be made")
        seen = _number_outside(house, pid)
        for name, inside, outside in (("uid_map", uid, house.uid), ("gid_map", gid, house.uid)):
            map_fd = os.open(f"{seen}/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=house.proc)
            os.write(map_fd, f"{inside} {outside} 1".encode())
            os.close(map_fd)
        return os.open(f"{seen}/ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=house.proc)
    finally:
        os.write(go_w, b"1")
        for each in (go_r, go_w, made_r):
            os.close(each)


def _number_outside(house: House, pid: int) -> int:
    """The number that the machine's /proc has for a child, which counts differently here."""
    pidfd = os.pidfd_open(pid)
    try:
        info = os.open(f"self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=house.proc)
        with open(info, encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
    finally:
        os.close(pidfd)
