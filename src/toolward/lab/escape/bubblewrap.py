"""The same payloads in bubblewrap with our filter: whether somebody else's cage holds them, too.

It shows of what a row's containment comes: what bubblewrap does not stop is held here by something that it
has not (limits for all processes together, no inodes without end, no execution of what was written).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, Final

import orjson

from toolward.adapters.sandboxes.cage.filters import build_filter
from toolward.lab.escape.attempts import Attempt, Control, Via
from toolward.lab.escape.places import GONE_S, NOWHERE, Seen, judge, wait_until
from toolward.lab.escape.world import World, marked
from toolward.ports.sandbox import Stopped, StopReason, Value

_FLAGS: Final = """
--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL --uid 1000
--gid 1000 --hostname sandbox --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64
--symlink usr/bin /bin --proc /proc --dev /dev
"""
_LAST: Final = "--remount-ro / --clearenv --setenv PATH /usr/bin --setenv HOME /tmp --chdir /tmp"
_RUNNER: Final = """
import json, resource, sys
told = json.loads(sys.stdin.buffer.read())
for name, limit in told["limits"].items():
    resource.setrlimit(getattr(resource, name), (limit, limit))
space = {"__name__": "tool"}
exec(compile(told["text"], "payload", "exec"), space)
sys.stdout.write(json.dumps(space["attempt"](told["world"], told["name"])))
"""


def installed() -> str:
    """The program's path, or nothing."""
    return shutil.which("bwrap") or ""


def can_run(attempt: Attempt) -> bool:
    """Not what needs a protocol of ours, a way out, or a gateway that is killed."""
    told_by_us = attempt.control is Control.NONE
    return attempt.via is Via.FUNCTION and not attempt.network and not told_by_us


def in_bubblewrap(world: World, attempt: Attempt) -> Seen:
    """Run it there."""
    told = world.reset(attempt)
    told |= {"grants": ["read", "write"] * attempt.grants + ["scratch"], "scratch": "/tmp"}  # noqa: S108 -- its own
    order = orjson.dumps(
        {"text": attempt.text, "world": told, "name": attempt.id, "limits": _limits_of(attempt)}
    )
    seccomp = os.memfd_create("filter")
    try:
        os.write(seccomp, build_filter(network=False, own_view=True))
        os.lseek(seccomp, 0, os.SEEK_SET)
        answer = _answer_of(_command(told, attempt, seccomp), order, attempt, keep=seccomp)
    finally:
        os.close(seccomp)
    wait_until(lambda: not marked(world.mark), GONE_S)  # its first process ends after the one that we know
    return judge(world, attempt, answer, "")


def _command(told: dict[str, Any], attempt: Attempt, seccomp: int) -> list[str]:
    home = os.path.realpath(sys.base_prefix)
    scratch = str(attempt.limits.scratch_bytes)
    binds = ["--size", scratch, "--tmpfs", "/tmp", "--ro-bind", home, home]  # noqa: S108 -- its own
    if attempt.grants:
        binds += ["--bind", told["granted"], told["granted"], "--ro-bind", told["reading"], told["reading"]]
    python = os.path.realpath(sys.executable)
    own = ["--seccomp", str(seccomp), python, "-I", "-S", "-E", "-c", _RUNNER]
    return [installed(), *_FLAGS.split(), *binds, *_LAST.split(), *own]


def _limits_of(attempt: Attempt) -> dict[str, int]:
    limits = attempt.limits
    return {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_CPU": limits.cpu_s,
        "RLIMIT_CORE": 1,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_SIGPENDING": 256,
    }


def _answer_of(command: list[str], order: bytes, attempt: Attempt, *, keep: int) -> Value | Stopped:
    """The payload's answer, read up to the limit and until the time is over."""
    with subprocess.Popen(
        command,
        env={},  # what bubblewrap itself has in its environment its first process shows
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(keep,),
    ) as cage:
        late = threading.Timer(attempt.limits.wall_ms / 1000, cage.kill)
        late.start()
        try:
            if cage.stdin:
                with suppress(BrokenPipeError), cage.stdin as stdin:
                    stdin.write(order)
            text = cage.stdout.read(attempt.limits.output_bytes + 1) if cage.stdout else b""
        finally:
            late.cancel()
            cage.kill()
    return _ended(text, attempt)


def _ended(text: bytes, attempt: Attempt) -> Value | Stopped:
    if len(text) > attempt.limits.output_bytes:
        return Stopped(reason=StopReason.OUTPUT, text="", ran=NOWHERE)
    try:
        return Value(value=json.loads(text), ran=NOWHERE)
    except ValueError:
        return Stopped(reason=StopReason.DIED, text="", ran=NOWHERE)
