"""Goes before every payload: system calls by number, and the check that what was granted can be used."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
from collections.abc import Callable
from typing import Any

World = dict[str, Any]
"""What the host tells the payload: paths, ports, process numbers; never a secret."""

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
REFUSED = ("EPERM", "ENOSYS", "EACCES")
SECRET = re.compile(rb"tw-secret-[a-z]+-[0-9a-f]{32}")


def syscall(number: int, *given: Any) -> tuple[int, str]:
    """The result, and the name of the error or nothing."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in given]
    result: int = LIBC.syscall(ctypes.c_long(number), *words)
    return result, "" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def failed(error: str) -> OSError:
    """The exception for an error's name."""
    return OSError(getattr(errno, error, 1), error)


def done(number: int, *given: Any) -> str:
    """What to report if the call succeeded."""
    result, error = syscall(number, *given)
    if error:
        raise failed(error)
    return f"call {number} gave {result}"


def reached(number: int, *given: Any) -> str:
    """What to report if the call was not refused: for calls that must not succeed even in a control."""
    result, error = syscall(number, *given)
    if error in REFUSED:
        raise OSError(getattr(errno, error), error)
    return f"call {number} got as far as {error or result}"


def head(path: str) -> str:
    """The beginning of a file."""
    with open(path, "rb") as file:
        return file.read(200).decode("utf-8", "replace")


def in_child(work: Callable[[], int]) -> int:
    """How a forked child that does `work` ended; the filter may kill it."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ask_the_way_out() -> str:
    """What answers where the environment says that the proxy is."""
    port = int(os.environ["HTTPS_PROXY"].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), 2) as conn:
        return conn.recv(100).decode()


def bad_grants(world: World) -> list[str]:
    """What was granted and can not be used."""
    wrong = []
    for name, use in (
        ("scratch", lambda: open(f"{world['scratch']}/{world['mark']}", "w").close()),
        ("read", lambda: head(world["granted"] + "/in").index("inside")),
        ("write", lambda: open(f"{world['granted']}/{world['mark']}", "w").write("made")),
        ("network", lambda: ask_the_way_out().index("hello")),
    ):
        try:
            if name in world["grants"]:
                use()
        except (OSError, ValueError) as error:
            wrong.append(f"{name}: {error}")
    return wrong


def attempt(world: World, name: str) -> dict[str, Any]:
    """Use what is granted, then try what is not."""
    LIBC.prctl(15, world["mark"].encode(), 0, 0, 0)  # PR_SET_NAME: how the host finds what is left of us
    wrong = bad_grants(world)
    got, said = None, ""
    try:
        got = globals()[name](world)
    except (OSError, MemoryError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        said = type(error).__name__ + (f" {errno.errorcode.get(number, number)}" if number else "")
    return {"wrong": wrong, "got": got, "said": said}
