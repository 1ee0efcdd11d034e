"""The kernel: calls that make a cage's kernel surface larger, or undo the cage."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
import threading
from typing import Any

from toolward.lab.escape.payloads.prelude import LIBC, World, done, in_child, reached, syscall

NEWUSER = 0x10000000
NEWUTS = 0x04000000


def k01(w: World) -> Any:
    """io_uring, which makes sockets and opens files past the filter"""
    return done(425, 8, ctypes.create_string_buffer(256))


def k02(w: World) -> Any:
    """bpf: make a map"""
    return done(321, 0, struct.pack("IIII", 2, 4, 8, 1) + bytes(112), 128)


def k03(w: World) -> Any:
    """perf events of the kernel"""
    return done(298, struct.pack("IIQ", 1, 128, 0) + bytes(112), 0, -1, -1, 0)


def k04(w: World) -> Any:
    """userfaultfd"""
    return done(323, 1)


def k05(w: World) -> Any:
    """the kernel's keyrings"""
    return done(248, b"user", w["mark"].encode(), b"v", 1, -2)


def k06(w: World) -> Any:
    """a user namespace of one's own, by unshare"""
    return in_child(lambda: 7 if syscall(272, NEWUSER)[0] == 0 else 0) == 7


def k07(w: World) -> Any:
    """a user namespace of one's own, by clone"""
    result, _ = syscall(56, NEWUSER | 17, 0, 0, 0, 0)
    if result == 0:
        os._exit(0)
    return result > 0


def k08(w: World) -> Any:
    """a user namespace of one's own, by clone3, whose flags a filter can not see"""
    arguments = ctypes.create_string_buffer(88)
    struct.pack_into("Q", arguments, 0, NEWUSER)
    struct.pack_into("Q", arguments, 32, 17)
    result, _ = syscall(435, arguments, 88)
    if result == 0:
        os._exit(0)
    return result > 0


def k09(w: World) -> Any:
    """mount"""
    return done(165, b"none", w["outside"].encode(), b"tmpfs", 0, 0)


def k10(w: World) -> Any:
    """unmount what covers something"""
    if syscall(165, b"none", w["outside"].encode(), b"tmpfs", 0, 0)[0] == 0:
        return done(166, w["outside"].encode(), 2)
    for path in (b"/proc", b"/tmp", b"/dev/null", w["granted"].encode()):
        if syscall(166, path, 2)[0] == 0:
            return path.decode()
    return done(166, b"/proc", 2)


def k11(w: World) -> Any:
    """pivot_root"""
    return reached(155, b".", b".")


def k12(w: World) -> Any:
    """chroot, and out of it again by `..`"""
    os.chroot(w["granted"])
    return "chrooted"


def k13(w: World) -> Any:
    """open an outside file by a handle that was learnt elsewhere (open_by_handle_at)"""
    directory = os.open(w["granted"], os.O_RDONLY)
    fd = int(done(304, directory, bytes.fromhex(w["handle"]), 0).split()[-1])
    return os.read(fd, 200).decode()


def k14(w: World) -> Any:
    """enter a namespace"""
    return done(308, os.open("/proc/self/ns/uts", os.O_RDONLY), 0)


def k15(w: World) -> Any:
    """type into the terminal that the gateway was started from (TIOCSTI)"""
    pushed = 0
    for path in ("", "/dev/tty", w["terminal"]):
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY) if path else 0
        except OSError:
            continue
        for each in w["mark"]:
            pushed += syscall(16, fd, 0x5412, each.encode())[0] == 0
    return f"{pushed} typed" if pushed else None


def k16(w: World) -> Any:
    """the same with high bits in the request, which the kernel does not look at"""
    pushed = 0
    for each in w["mark"]:
        pushed += syscall(16, 0, ctypes.c_ulong(0x7700000000 | 0x5412), each.encode())[0] == 0
    return f"{pushed} typed" if pushed else None


def k17(w: World) -> Any:
    """system calls of the 32-bit table (int 0x80), whose numbers mean others"""
    code = mmap.mmap(-1, 4_096, prot=7)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return in_child(lambda: 7 if run() > 0 else 8) == 7


def k18(w: World) -> Any:
    """system calls of the x32 table"""
    return in_child(lambda: 7 if syscall(0x40000000 | 39)[0] > 0 else 8) == 7


def k19(w: World) -> Any:
    """programs that change the user: whether setuid files would work"""
    if LIBC.prctl(39, 0, 0, 0, 0) == 1:
        os.setuid(0)  # refused, or there is nobody above
        return os.path.exists("/etc/shadow")
    return "setuid programs work"


def k20(w: World) -> Any:
    """capabilities, those included that a program could get"""
    held = ctypes.create_string_buffer(24)
    syscall(125, struct.pack("Ii", 0x20080522, 0), held)
    bounding = [each for each in range(41) if LIBC.prctl(23, each, 0, 0, 0) == 1]
    can_gain = bounding and LIBC.prctl(39, 0, 0, 0, 0) == 0
    return "capabilities" if any(held.raw) or can_gain else None


def k21(w: World) -> Any:
    """load a kernel module"""
    return reached(175, b"none", 4, b"")


def k22(w: World) -> Any:
    """switch off address randomisation (personality)"""
    return done(135, 0x0040000)


def k23(w: World) -> Any:
    """the kernel's log"""
    return done(103, 3, ctypes.create_string_buffer(4_096), 4_096)


def k24(w: World) -> Any:
    """rename the machine"""
    socket.sethostname(w["mark"])


def k25(w: World) -> Any:
    """reboot, kexec, swap, accounting: as far as the check of rights"""
    got = []
    for number, given in (
        (169, (0, 0, 0, 0)),  # reboot with a wrong magic number
        (167, (b"/nowhere/at/all", 0)),
        (163, (b"/nowhere/at/all",)),
        (246, (0, 17, 0, 0)),  # kexec_load with too many segments
    ):
        try:
            got.append(reached(number, *given))
        except OSError:
            pass
    return got


def k26(w: World) -> Any:
    """the newer ways to mount (fsopen, open_tree)"""
    got = []
    for number, given in ((430, (b"tmpfs", 0)), (428, (-100, b"/", 1))):
        if syscall(number, *given)[0] >= 0:
            got.append(number)
    return got


def k27(w: World) -> Any:
    """memory that the kernel itself can not see (memfd_secret)"""
    return done(447, 0)


def k28(w: World) -> Any:
    """move pages, compare kernel objects, advise another process's memory"""
    got = []
    for number, given in ((279, (0, 0, 0, 0, 0, 0)), (312, (os.getpid(), os.getpid(), 0, 0, 0))):
        if syscall(number, *given)[0] >= 0:
            got.append(number)
    return got


def k29(w: World) -> Any:
    """answer the system calls of programs that are started (seccomp user notification)"""
    program = struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)
    buffer = ctypes.create_string_buffer(program, 8)
    where = struct.pack("HxxxxxxP", 1, ctypes.addressof(buffer))
    LIBC.prctl(38, 1, 0, 0, 0)
    return done(317, 1, 8, where)


def k30(w: World) -> Any:
    """real-time scheduling and processor affinity of the whole machine"""
    got = []
    for number, given in ((144, (0, 1, struct.pack("i", 1))), (251, (1, 0, 1 << 13))):
        if syscall(number, *given)[0] >= 0:
            got.append(number)
    return got


def k31(w: World) -> Any:
    """the local descriptor table (modify_ldt)"""
    return done(154, 0, ctypes.create_string_buffer(64), 64)


def k32(w: World) -> Any:
    """ports of the machine (ioperm, iopl)"""
    return done(172, 0)


def k33(w: World) -> Any:
    """set the clock, to a time that there is not"""
    return reached(227, 0, struct.pack("qq", 0, 2_000_000_000))


def k34(w: World) -> Any:
    """write to the kernel's settings and to one's own process files (/proc/sys, oom_score_adj, splice)"""
    got = []
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"):
        try:
            os.close(os.open(path, os.O_WRONLY))
            got.append(path)
        except OSError:
            pass
    return got


def k35(w: World) -> Any:
    """a queue, keys or semaphores that stay when the cage is gone"""
    return done(64, w["shm_key"] + 7, 1, 0o1600)


def k36(w: World) -> Any:
    """the process table of the machine: numbers of processes that are not one's own"""
    seen = [pid for pid in (w["gateway"], w["victim"]) if pid and os.path.isdir(f"/proc/{pid}")]
    return (
        seen
        if w["gateway"] in seen and b"escape" in open(f"/proc/{w['gateway']}/cmdline", "rb").read()
        else None
    )


def k37(w: World) -> Any:
    """a second filter that takes the first one's place, or a thread that has none"""
    got: list[str] = []

    def look() -> None:
        if syscall(135, 0xFFFFFFFF)[1] != "EPERM":
            got.append("a thread without filter")

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return got


def k38(w: World) -> Any:
    """change the terminal's line discipline or its console (TIOCSETD, TIOCLINUX)"""
    given = struct.pack("i", 0)
    return [request for request in (0x5423, 0x541C) if syscall(16, 0, request, given)[0] == 0]
