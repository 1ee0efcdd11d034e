"""Inside the cage, locked: take one job, do it, answer with one frame."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from typing import Any, Final

from . import frames

ERROR_TEXT_MAX: Final = 4_096
DOORS: Final = "TOOLWARD_DOORS"
"""Tells a program that was started by descriptor which directories it reaches so, and how."""
_LINKS_MAX: Final = 40
_NOT_FOUND: Final = 127
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


def serve(conn: socket.socket, spec: dict[str, Any], doors: dict[str, int] | None = None) -> None:
    """Serve the one job. `doors` are directories that are reached by descriptor only."""
    conn.sendall(frames.pack({"armed": True}))
    job, fds = frames.receive(conn)
    os.environ.clear()
    os.environ.update({"PATH": _PATH, "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"})
    os.environ.update(job["environment"])
    if job["kind"] == "python":
        answer = _call(job)
        try:
            frame = frames.pack(answer)
        except (TypeError, ValueError, RecursionError) as error:
            frame = frames.pack(_raised(error, "the result is not json: "))
        if len(frame) > spec["limits"]["output_bytes"]:
            frame = frames.pack({"too_large": len(frame)})
        conn.sendall(frame)
    else:
        _run_program(conn, job, fds, doors or {})


def touch() -> None:
    """Do a small job before there is one: what a fork shares is copied when it is touched, better now."""
    job = '{"search_paths":[],"module":"","text":"def f(a): return a","filename":"","function":"f"}'
    frames.pack(_call({**json.loads(job), "arguments": {"a": 1}}))


# --- Python ------------------------------------------------------------------------------------------


def _call(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": _function(job)(**job["arguments"])}
    except BaseException as error:  # noqa: BLE001 -- also SystemExit: the function's own affair
        return _raised(error)


def _function(job: dict[str, Any]) -> Any:
    sys.path[:0] = job["search_paths"]
    if job["module"]:
        import importlib  # noqa: PLC0415 -- a source text does without

        found: Any = importlib.import_module(job["module"])
        for part in job["function"].split("."):
            found = getattr(found, part)
        return found
    space: dict[str, Any] = {"__name__": "tool", "__file__": job["filename"]}
    exec(compile(job["text"], job["filename"], "exec"), space)  # noqa: S102 -- what a cage is for
    return space[job["function"]]


def _raised(error: BaseException, prefix: str = "") -> dict[str, Any]:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 -- an exception of the tool's own making
        text = ""
    return {"raised": [type(error).__name__, (prefix + text)[:ERROR_TEXT_MAX]]}


# --- programs ----------------------------------------------------------------------------------------


def _run_program(conn: socket.socket, job: dict[str, Any], fds: list[int], doors: dict[str, int]) -> None:
    """Run the program as a child, so that it gets its signals and its orphans are reaped."""
    path = _find(job["argv"][0])
    argv = job["argv"]
    if any(path == known or path.startswith(known + "/") for known in doors):
        path = _through(doors, path)
        argv = [path, *argv[1:]]
        for fd in doors.values():
            os.set_inheritable(fd, True)  # noqa: FBT003 -- its own signature
        os.environ[DOORS] = json.dumps({known: f"/proc/self/fd/{fd}" for known, fd in doors.items()})
    ends: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the poll below
    wake_r, wake_w = os.pipe()
    for fd in (wake_r, wake_w):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    try:
        if job["cwd"]:
            os.chdir(job["cwd"])
        pid = os.posix_spawn(
            path,
            argv,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(fds)]
            + [(os.POSIX_SPAWN_CLOSE, fd) for fd in (*fds, conn.fileno()) if fd > 2],  # noqa: PLR2004 -- stderr
            setpgroup=0,
            setsigdef=list(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
            setsigmask=[],
        )
    except OSError as error:
        conn.sendall(frames.pack({"raised": ["OSError", f"{job['argv'][0]}: {error.strerror}"]}))
        return
    for fd in fds:
        os.close(fd)
    _watch(conn, pid, wake_r, ends)
    conn.sendall(frames.pack({"exit": ends[0] if ends else -signal.SIGKILL}))


def _through(doors: dict[str, int], path: str) -> str:
    """The program's place by descriptor, its links followed by hand: they name what can not be walked to."""
    for _ in range(_LINKS_MAX):
        known = max((each for each in doors if path.startswith(each + "/")), key=len, default="")
        moved = f"/proc/self/fd/{doors[known]}{path[len(known) :]}" if known else path
        if not os.path.islink(moved):
            return moved
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(moved)))
    return path


def _find(name: str) -> str:
    if "/" in name:
        return name
    for directory in os.environ["PATH"].split(":"):
        candidate = os.path.join(directory, name)
        if os.access(candidate, os.X_OK):
            return candidate
    return name


def _watch(conn: socket.socket, pid: int, wake: int, ends: list[int]) -> None:
    """Reap until the program is gone; pass on signals; return at once when the gateway is gone."""
    poll = select.poll()
    poll.register(conn, select.POLLIN | select.POLLRDHUP)
    poll.register(wake, select.POLLIN)
    while not ends:
        _reap(pid, ends)
        if ends:
            return
        for fd, events in poll.poll():
            if fd == wake:
                os.read(wake, 4096)
            elif events & (select.POLLRDHUP | select.POLLHUP):
                return
            else:
                message, _ = frames.receive(conn)
                _signal_group(pid, message["signal"])


def _reap(pid: int, ends: list[int]) -> None:
    try:
        while True:
            found, status = os.waitpid(-1, os.WNOHANG)
            if not found:
                return
            if found == pid:
                ends.append(os.waitstatus_to_exitcode(status))
    except ChildProcessError:
        return


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        pass
