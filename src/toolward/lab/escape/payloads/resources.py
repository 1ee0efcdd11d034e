"""Using things up. Every bomb is small and counted, so that a control does no harm."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any

from toolward.lab.escape.payloads.prelude import LIBC, World, failed, syscall

MIB = 1 << 20
STAY_S = 20.0
"""What is left behind ends by itself."""


def r01(w: World) -> Any:
    """fork without end"""
    made = 0
    for _ in range(64):
        if os.fork() == 0:
            time.sleep(1.5)
            os._exit(0)
        made += 1
    time.sleep(0.3)
    return f"{made} processes"


def r02(w: World) -> Any:
    """take more memory than is granted, in one process"""
    return f"{len(bytearray(320 * MIB))} bytes"


def r03(w: World) -> Any:
    """take memory that limits of a process do not count (memfd)"""
    fd, written = os.memfd_create("m"), 0
    for _ in range(320):
        written += os.write(fd, bytes(MIB))
    return f"{written} bytes"


def r04(w: World) -> Any:
    """take memory in many processes that each stay below the limit"""
    read, write = os.pipe()
    for _ in range(5):
        if os.fork() == 0:
            block = bytearray(64 * MIB)
            for at in range(0, len(block), 4_096):
                block[at] = 1
            os.write(write, b"1")
            time.sleep(1.5)
            os._exit(0)
    for _ in range(5):
        os.read(read, 1)
    time.sleep(0.8)
    return "320 MiB in five processes"


def r05(w: World) -> Any:
    """loop without end: processor time"""
    until = time.process_time() + 1.6
    while time.process_time() < until:
        pass
    return "1.6 s of processor time"


def r06(w: World) -> Any:
    """ignore every signal that can be ignored and stay: wall time"""
    for number in (1, 2, 3, 10, 12, 13, 14, 15):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(3.5)
    return "stayed 3.5 s"


def r07(w: World) -> Any:
    """fork twice and stay as a daemon"""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(STAY_S)
        os._exit(0)
    os.wait()


def r08(w: World) -> Any:
    """a result without end"""
    return "A" * (4 * MIB)


def r09(w: World) -> Any:
    """a few bytes that unpack to many"""
    import zlib

    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(320)) + packer.flush()
    return f"{len(zlib.decompress(packed))} bytes"


def r10(w: World) -> Any:
    """use up descriptors"""
    return f"{len([os.open('/dev/null', os.O_RDONLY) for _ in range(400)])} descriptors"


def r11(w: World) -> Any:
    """use up threads"""
    for _ in range(64):
        threading.Thread(target=time.sleep, args=(1.5,), daemon=True).start()
    time.sleep(0.2)
    return "64 threads"


def r12(w: World) -> Any:
    """memory of the kernel in pipes"""
    held = 0
    for _ in range(100):
        _, end = os.pipe()
        os.set_blocking(end, False)
        try:
            fcntl.fcntl(end, 1031, MIB)
        except OSError:
            pass
        try:
            while True:
                held += os.write(end, bytes(65_536))
        except BlockingIOError:
            continue
        except OSError:
            break
    return f"{held} bytes" if held > 80 * MIB else None


def r13(w: World) -> Any:
    """tell the kernel not to end it with its parent, and stay"""
    LIBC.prctl(1, 0, 0, 0, 0)
    if os.fork() == 0:
        LIBC.prctl(1, 0, 0, 0, 0)
        os.setsid()
        time.sleep(STAY_S)
        os._exit(0)
    time.sleep(0.1)


def r14(w: World) -> Any:
    """the same, and the gateway is killed meanwhile"""
    for _ in range(2):
        LIBC.prctl(1, 0, 0, 0, 0)
        if os.fork() == 0:
            LIBC.prctl(1, 0, 0, 0, 0)
            os.setsid()
    open(w["granted"] + "/up", "w").close()
    time.sleep(STAY_S)


def r15(w: World) -> Any:
    """use up the user's signals and timers"""
    made = 0
    for _ in range(2_000):
        timer = ctypes.c_int()
        if LIBC.timer_create(1, None, ctypes.byref(timer)) != 0:
            break
        made += 1
    return f"{made} timers" if made > 1_000 else None


def r17(w: World) -> Any:
    """lock memory"""
    block = mmap.mmap(-1, 8 * MIB)
    where = ctypes.addressof(ctypes.c_char.from_buffer(block))
    _, error = syscall(149, where, 4 * MIB)
    if error:
        raise failed(error)
    return f"locked {4 * MIB}"


def r18(w: World) -> Any:
    """a core of one's memory left on disk"""
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_CORE, (MIB, MIB))
    except ValueError:  # how Python says that a limit can not be raised
        return None
    return "cores are written"


def r19(w: World) -> Any:
    """raise one's own limits again"""
    import resource

    hard = -1
    for kind in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hard, hard))
        if hard > 0:
            try:
                resource.setrlimit(kind, (hard + 1, hard + 1))
            except (ValueError, OSError):
                continue
            return f"beyond {hard}"
    return None if 0 < hard <= w["file_bytes"] else f"up to {hard}"


def r20(w: World) -> Any:
    """change what the next call will find: the interpreter, the modules, the scratch directory"""
    import json

    json.dumps = json.loads  # type: ignore[assignment]
    sys.path[:] = []
    for path in ("/tmp/next", "/dev/shm/next"):
        try:
            open(path, "x").close()
        except OSError:
            pass


def r21(w: World) -> Any:
    """memory of the kernel in socket buffers, which no limit of a process counts"""
    total, read = 0, os.pipe()
    for _ in range(12):
        if os.fork() == 0:
            os.write(read[1], struct.pack("q", fill_sockets()))
            time.sleep(1.0)
            os._exit(0)
    for _ in range(12):
        total += struct.unpack("q", os.read(read[0], 8))[0]
    return f"{total} bytes" if total > 160 * MIB else None


def fill_sockets() -> int:
    """Bytes that stay in the buffers of as many pairs as can be made."""
    held, pairs = 0, []
    try:
        for _ in range(60):
            pairs.append(socket.socketpair())
            for each in pairs[-1]:
                each.settimeout(0)
                try:
                    while True:
                        held += each.send(bytes(65_536))
                except BlockingIOError:
                    continue
    except OSError:
        pass
    globals()["kept"] = pairs
    return held
