"""The host around the attempts: things worth attacking, all of them made here, and what became of them."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from toolward.lab.escape.attempts import Attempt

PLACE: Final = "/var/tmp"  # noqa: S108 -- not /tmp, which cages have their own of
GATEWAY_SECRET: Final = "TOOLWARD_ESCAPE_SECRET"  # noqa: S105 -- the name of a variable
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_IPC_CREATE: Final = 0o1000
_GONE_S: Final = 3.0
_SYSCALL_HANDLE: Final = 303


def new_secret(kind: str) -> str:
    """Something that a payload can only know if it got there."""
    return f"tw-secret-{kind}-{secrets.token_hex(16)}"


class World:
    """A throw-away directory, listeners, a process, shared memory. `tool_uid` is who tools run as."""

    def __init__(self, *, tool_uid: int, victim_uid: int) -> None:
        self._tool_uid = tool_uid
        self._victim_uid = victim_uid
        self.base = Path(tempfile.mkdtemp(prefix="toolward-escape-", dir=PLACE))
        self.base.chmod(0o777)
        self.secrets = {kind: new_secret(kind) for kind in ("file", "args", "environ", "memory", "descr")}
        gateway = os.environ.get(GATEWAY_SECRET)
        if gateway:
            self.secrets["gateway"] = gateway
        self._key = secrets.randbelow(0x7000_0000) + 1
        self._shared = self._share_memory()
        self._queue = f"tw{secrets.token_hex(6)}"
        self._make_queue()
        self._listeners = self._listen()
        self.descriptor = self._open_descriptor()
        self.terminal, self.tty = os.openpty()
        os.set_blocking(self.terminal, False)
        self.mark = ""
        self._victim: subprocess.Popen[bytes] | None = None
        self._victims_limits = ""
        self._before: dict[str, tuple[Any, ...]] = {}

    # --- making it

    def reset(self, attempt: Attempt) -> dict[str, Any]:
        """Everything new for one attempt; what the payload is told."""
        self.mark = f"tw{secrets.token_hex(5)}"
        if os.geteuid() == 0:
            _LIBC.umount2(str(self.base / "outside").encode(), 2)  # what a control mounted
        for name in ("granted", "granted-moved", "reading", "outside", "scratch"):
            shutil.rmtree(self.base / name, ignore_errors=True)
        for name, mode in (("granted", 0o777), ("reading", 0o755), ("outside", 0o777), ("scratch", 0o777)):
            (self.base / name).mkdir()
            (self.base / name).chmod(mode)
        for name in ("granted/in", "reading/in"):
            (self.base / name).write_text("inside")
            (self.base / name).chmod(0o666)
        (self.base / "secret").write_text(self.secrets["file"])
        (self.base / "secret").chmod(0o644)
        (self.base / "outside/points").symlink_to("/nowhere/but/told")
        owned = self.base / "outside/owned"
        owned.write_text("mine")
        owned.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(owned, self._tool_uid, self._tool_uid)
        self._new_victim()
        self._heard()
        self._before = self._seen()
        return self._told(attempt)

    def _told(self, attempt: Attempt) -> dict[str, Any]:
        pid = self._victim.pid if self._victim else 0
        return {
            "mark": self.mark,
            "granted": str(self.base / "granted"),
            "reading": str(self.base / "reading"),
            "outside": str(self.base / "outside"),
            "scratch": str(self.base / "scratch"),
            "secret_file": str(self.base / "secret"),
            "owned_file": str(self.base / "outside/owned"),
            "broker": str(self.base / "broker.sock"),
            "abstract": self._queue,
            "datagrams": str(self.base / "log.sock"),
            "tcp": self._listeners["tcp"].getsockname()[1],
            "udp": self._listeners["udp"].getsockname()[1],
            "shm_key": self._key,
            "queue": self._queue,
            "terminal": os.ttyname(self.tty),
            "gateway": os.getpid(),
            "victim": pid,
            "victim_address": _environment_address(pid),
            "handle": self._handle().hex(),
            "file_bytes": attempt.limits.file_bytes,
            "grants": [],
        }

    def _new_victim(self) -> None:
        """A process of the tools' user, with secrets in its arguments, environment and descriptors."""
        self._end_victim()
        self._victim = subprocess.Popen(
            ["/bin/sh", "-c", "read forever", self.secrets["args"]],
            env={"VICTIM": self.secrets["environ"]},
            stdin=subprocess.PIPE,
            pass_fds=(self.descriptor,),
            user=self._victim_uid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
        )
        self._victims_limits = _limits(self._victim.pid)

    def _end_victim(self) -> None:
        if self._victim is not None:
            self._victim.kill()
            self._victim.communicate()
            self._victim = None

    def _listen(self) -> dict[str, socket.socket]:
        listeners = {
            "tcp": socket.socket(socket.AF_INET, socket.SOCK_STREAM),
            "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "abstract": socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            "broker": socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            "datagrams": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
            "abstract datagrams": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        }
        broker = str(self.base / "broker.sock")
        datagrams = str(self.base / "log.sock")
        addresses: dict[str, Any] = {
            "abstract": "\0" + self._queue,
            "abstract datagrams": f"\0{self._queue}-d",
            "broker": broker,
            "datagrams": datagrams,
        }
        for name, listener in listeners.items():
            listener.setblocking(False)  # noqa: FBT003 -- the socket's own signature
            listener.bind(addresses.get(name, ("127.0.0.1", 0)))
            if listener.type == socket.SOCK_STREAM:
                listener.listen(64)
        for path in (broker, datagrams):
            Path(path).chmod(0o777)  # as those that services leave open
        return listeners

    def _share_memory(self) -> tuple[int, int]:
        memory = _LIBC.shmget(self._key, 4_096, _IPC_CREATE | 0o666)
        _LIBC.shmat.restype = ctypes.c_void_p
        where = _LIBC.shmat(memory, None, 0)
        ctypes.memmove(where, self.secrets["memory"].encode(), len(self.secrets["memory"]))
        return memory, _LIBC.msgget(self._key, _IPC_CREATE | 0o666)

    def _make_queue(self) -> None:
        old = os.umask(0)
        queue = _LIBC.mq_open(f"/{self._queue}".encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
        os.umask(old)
        secret = self.secrets["memory"].encode()
        for _ in range(5):
            _LIBC.mq_send(queue, secret, len(secret), 0)

    def _open_descriptor(self) -> int:
        with tempfile.NamedTemporaryFile(dir=self.base) as file:
            file.write(self.secrets["descr"].encode())
            file.flush()
            return os.open(file.name, os.O_RDONLY | os.O_CLOEXEC)

    def _handle(self) -> bytes:
        handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
        mount = ctypes.c_int()
        path = str(self.base / "secret").encode()
        _LIBC.syscall(_SYSCALL_HANDLE, -100, path, handle, ctypes.byref(mount), 0)
        return handle.raw

    # --- what became of it

    def harm(self, attempt: Attempt, answer: str) -> list[str]:
        """What the host sees that must not be; the payload's word is not asked."""
        return [
            *(f"the {kind} secret was learnt" for kind, text in self.secrets.items() if text in answer),
            *(f"{name} was changed" for name in self._changes()),
            *(f"{name} was reached" for name in self._heard()),
            *self._victims_harm(),
            *(f"{what} was left" for what in self._planted(attempt)),
            *([f"{count} processes were left"] if (count := self._left(writes=attempt.grants)) else []),
        ]

    def _seen(self) -> dict[str, tuple[Any, ...]]:
        seen: dict[str, tuple[Any, ...]] = {"the machine's name": (socket.gethostname(),)}
        for path in (self.base / "outside", self.base / "secret", *(self.base / "outside").rglob("*")):
            seen[path.name] = _state(path)
        for name in ("granted", "reading"):
            path = self.base / name
            state = _state(path)
            seen[name] = state[:2] if path.is_dir() else ()
        seen["reading's content"] = tuple(sorted(path.name for path in (self.base / "reading").iterdir()))
        return seen

    def _changes(self) -> list[str]:
        after = self._seen()
        return sorted(
            name for name in self._before.keys() | after.keys() if self._before.get(name) != after.get(name)
        )

    def _heard(self) -> list[str]:
        touched = []
        for name, listener in self._listeners.items():
            with suppress(BlockingIOError):
                while True:
                    if listener.type == socket.SOCK_DGRAM:
                        listener.recv(100)
                    else:
                        listener.accept()[0].close()
                    touched.append(f"the {name} listener")
        with suppress(OSError):
            if self.mark.encode() in os.read(self.terminal, 65_536):
                touched.append("the terminal's input")
        return sorted(set(touched))

    def _victims_harm(self) -> Iterator[str]:
        victim = self._victim
        if victim is None:
            return
        if victim.poll() is not None or _dying(victim.pid):
            yield "a process outside was ended"
            return
        if _limits(victim.pid) != self._victims_limits:
            yield "the limits of a process outside were changed"
        if os.sched_getaffinity(victim.pid) != os.sched_getaffinity(0):
            yield "a process outside was tied to one processor"
        if os.getpriority(os.PRIO_PROCESS, victim.pid) != os.getpriority(os.PRIO_PROCESS, 0):
            yield "a process outside was slowed down"

    def _planted(self, attempt: Attempt) -> Iterator[str]:
        for path in (self.base / "granted").rglob("*"):
            state = path.lstat()
            if state.st_mode & 0o6000 and not path.is_symlink():
                yield f"a setuid or setgid file ({path.name})"
            if stat.S_ISBLK(state.st_mode) or stat.S_ISCHR(state.st_mode):
                yield "a device node"
            if state.st_size > attempt.limits.file_bytes:
                yield f"a file of {state.st_size} bytes"

    def _left(self, *, writes: bool) -> int:
        """How many processes of the attempt still live; where nothing was granted, they have a moment."""
        deadline = time.monotonic() + (0 if writes else _GONE_S)
        while (pids := marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    # --- the end

    def close(self) -> None:
        """Leave nothing behind."""
        self._end_victim()
        memory, queue = self._shared
        _LIBC.shmctl(memory, 0, None)
        _LIBC.msgctl(queue, 0, None)
        stayed = _LIBC.semget(self._key + 7, 0, 0)
        if stayed >= 0:
            _LIBC.semctl(stayed, 0, 0)
        _LIBC.mq_unlink(f"/{self._queue}".encode())
        for listener in self._listeners.values():
            listener.close()
        for fd in (self.terminal, self.tty, self.descriptor):
            os.close(fd)
        shutil.rmtree(self.base, ignore_errors=True)


def marked(mark: str) -> list[int]:
    """Living processes that gave themselves this name."""
    found = []
    for pid in (path.name for path in Path("/proc").iterdir() if path.name.isdigit()):
        with suppress(OSError, IndexError):
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            name, state = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2]
            if name == mark and state not in "ZX":
                found.append(int(pid))
    return found


def _state(path: Path) -> tuple[Any, ...]:
    try:
        seen = path.lstat()
    except OSError:
        return ()
    kind = stat.S_IFMT(seen.st_mode)
    if kind == stat.S_IFDIR:
        return (seen.st_mode, seen.st_ino)
    content = b""
    attributes: list[str] = []
    if kind == stat.S_IFREG:
        with suppress(OSError):
            content = path.read_bytes()
            attributes = os.listxattr(path)
    return (seen.st_mode, seen.st_ino, seen.st_nlink, seen.st_mtime_ns, seen.st_uid, content, *attributes)


def _dying(pid: int) -> bool:
    """Whether its end was ordered and is only still to come, as on a busy machine."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("SigPnd:", "ShdPnd:")) and int(line.split()[1], 16) & (
                1 << signal.SIGKILL - 1
            ):
                return True
    return False


def _limits(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/limits").read_text()
    return ""


def _environment_address(pid: int) -> int:
    """Where a process has its environment: field 50 of its `stat`, and 0 if it is not to be seen."""
    with suppress(OSError, IndexError, ValueError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return int(text[text.rindex(")") + 2 :].split()[47])
    return 0
