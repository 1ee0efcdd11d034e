"""Files: what lies outside the grants, and what may be left behind inside them."""

from __future__ import annotations

import ctypes
import mmap
import os
import stat
import struct
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

from toolward.lab.escape.payloads.prelude import LIBC, World, done, failed, head, in_child, syscall


def fs01(w: World) -> Any:
    """read /etc/shadow"""
    return head("/etc/shadow")[:5] == "root:"


def fs02(w: World) -> Any:
    """read a world-readable file outside the grant"""
    return head(w["secret_file"])


def fs03(w: World) -> Any:
    """read the machine's /etc/passwd"""
    return "root:" in head("/etc/passwd")


def fs04(w: World) -> Any:
    """write a file outside the grant that the tool's own user owns"""
    with open(w["owned_file"], "w") as file:
        file.write("spoilt")


def fs05(w: World) -> Any:
    """a link in the granted directory that leads out, read"""
    os.symlink(w["secret_file"], w["granted"] + "/link")
    return head(w["granted"] + "/link")


def fs06(w: World) -> Any:
    """a hard link of an outside file in the granted directory"""
    os.link(w["owned_file"], w["granted"] + "/hard")
    return "linked"


def fs07(w: World) -> Any:
    """out of the granted directory by `..`"""
    return head(w["granted"] + "/../secret")


def fs08(w: World) -> Any:
    """through /proc/self/root, /proc/1/root and /proc/self/cwd"""
    for way in ("self/root", "1/root", "self/cwd", f"{os.getppid()}/root", f"{os.getppid()}/cwd"):
        try:
            return head(f"/proc/{way}{w['secret_file']}")
        except OSError:
            continue


def fs09(w: World) -> Any:
    """rename the granted directory away"""
    os.rename(w["granted"], w["granted"] + "-moved")


def fs10(w: World) -> Any:
    """chmod of an outside file of the tool's own user"""
    os.chmod(w["owned_file"], 0o777)


def fs11(w: World) -> Any:
    """utime of an outside file of the tool's own user"""
    os.utime(w["owned_file"], (1, 1))


def fs12(w: World) -> Any:
    """stat of an outside file: whether it is there, its size and times"""
    return f"size {os.stat(w['secret_file']).st_size}"


def fs13(w: World) -> Any:
    """fill the disk with one file in the granted directory"""
    with open(w["granted"] + "/big", "wb") as file:
        for _ in range(6):
            file.write(bytes(1 << 20))
            file.flush()


def fs14(w: World) -> Any:
    """fill the scratch directory with many files"""
    written = 0
    for number in range(24):
        with open(f"{w['scratch']}/{w['mark']}-{number}", "wb") as file:
            written += file.write(bytes(900_000))
    return f"{written} bytes"


def fs15(w: World) -> Any:
    """use up inodes in the scratch directory"""
    for number in range(2_000):
        open(f"{w['scratch']}/{w['mark']}-{number}", "w").close()
    return "2000 files"


def fs16(w: World) -> Any:
    """open programs and settings of the machine for writing"""
    opened = []
    for path in ("/usr/bin/env", "/usr/lib/os-release", "/etc/ld.so.cache", "/etc/passwd", "/bin/sh"):
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
            opened.append(path)
        except OSError:
            pass
    return opened


def fs17(w: World) -> Any:
    """device nodes and the kernel's trees"""
    opened = []
    for path in ("mem", "kmsg", "vda", "sda", "nvme0n1", "kvm", "fuse", "net/tun", "ptmx", "console"):
        try:
            os.close(os.open("/dev/" + path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
            opened.append(path)
        except OSError:
            pass
    return opened + [
        path for path in ("/sys/kernel", "/sys/fs/cgroup") if os.path.isdir(path) and listed(path)
    ]


def listed(path: str) -> bool:
    """Whether a directory can be listed."""
    try:
        return bool(os.listdir(path))
    except OSError:
        return False


def fs18(w: World) -> Any:
    """make a device node"""
    os.mknod(w["granted"] + "/node", stat.S_IFBLK | 0o666, os.makedev(7, 200))


def fs19(w: World) -> Any:
    """drop a program into the granted directory and run it"""
    path = w["granted"] + "/program"
    with open(path, "wb") as file, open("/bin/true", "rb") as true:
        file.write(true.read())
    try:
        os.chmod(path, 0o755)
    except OSError:
        pass
    return "it ran" if subprocess.run([path], check=False).returncode == 0 else None


def fs20(w: World) -> Any:
    """leave a setuid program in the granted directory"""
    ways: tuple[Callable[[], object], ...] = (
        lambda: os.chmod(w["granted"] + "/s", 0o4755),
        lambda: os.close(os.open(w["granted"] + "/t", os.O_CREAT | os.O_WRONLY, 0o4755)),
        lambda: os.mkdir(w["granted"] + "/d", 0o6777),
        lambda: os.link(
            f"/proc/self/fd/{os.open(w['granted'], os.O_TMPFILE | os.O_RDWR, 0o4755)}",
            w["granted"] + "/u",
            follow_symlinks=True,
        ),
    )
    for make in ways:
        open(w["granted"] + "/s", "w").close()
        try:
            make()
        except OSError:
            pass


def fs21(w: World) -> Any:
    """plant a link where the gateway reads the result"""
    os.symlink(w["secret_file"], w["granted"] + "/out")


def fs22(w: World) -> Any:
    """swap a granted file with one outside (renameat2, exchange)"""
    LIBC.renameat2(-100, (w["granted"] + "/in").encode(), -100, w["owned_file"].encode(), 2)


def fs23(w: World) -> Any:
    """write to a directory that is granted for reading"""
    with open(w["reading"] + "/new", "w") as file:
        file.write("x")


def fs24(w: World) -> Any:
    """open an outside file by its handle without a path (name_to_handle_at)"""
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    return done(303, -100, w["secret_file"].encode(), handle, ctypes.byref(mount), 0)


def fs25(w: World) -> Any:
    """watch what others do with files (inotify) outside the grant"""
    fd = syscall(294, 0)[0]
    result, error = syscall(254, fd, os.path.dirname(w["secret_file"]).encode(), 0xFFF)
    w_file = w["secret_file"]
    if error:
        raise failed(error)
    return os.path.exists(w_file) and f"watch {result}"


def fs26(w: World) -> Any:
    """watch a whole file system (fanotify)"""
    return done(300, 0x200, 0)


def run_file(path: str) -> int:
    """Become a program."""
    os.execv(path, ["true"])


def fs27(w: World) -> Any:
    """run a program that has no file (memfd_create and execveat)"""
    fd = os.memfd_create("p")
    with open("/bin/true", "rb") as true:
        os.write(fd, true.read())
    path = f"/proc/self/fd/{fd}"
    return "it ran" if in_child(partial(run_file, path)) == 0 else None


def fs28(w: World) -> Any:
    """map written memory of a file as a program (W^X by mmap)"""
    path = w["granted"] + "/code"
    with open(path, "wb") as file:
        file.write(b"\xb8\x2a\x00\x00\x00\xc3" + bytes(4090))
    with open(path, "rb") as file:
        mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
    return "mapped as code"


def fs29(w: World) -> Any:
    """extended attributes and access lists of an outside file of the tool's own user"""
    os.setxattr(w["owned_file"], "user.spoilt", b"1")


def fs30(w: World) -> Any:
    """truncate an outside file of the tool's own user"""
    os.truncate(w["owned_file"], 0)


def fs31(w: World) -> Any:
    """remove an outside file from a directory that everybody may write"""
    os.unlink(w["owned_file"])


def fs32(w: World) -> Any:
    """where an outside link leads, and the attributes of an outside file"""
    return [os.readlink(w["outside"] + "/points"), *os.listxattr(w["secret_file"])]


def fs33(w: World) -> Any:
    """the machine's connections and mounts in one's own process files (/proc/self/net, mountinfo)"""
    seen = []
    for path, mark in (
        ("/proc/self/net/tcp", f":{w['tcp']:04X} "),
        ("/proc/self/net/unix", w["abstract"]),
        ("/proc/self/mountinfo", " /etc/hostname "),
    ):
        try:
            with open(path) as file:
                seen += [path] if mark in file.read() else []
        except OSError:
            pass
    return seen
