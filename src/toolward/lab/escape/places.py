"""Where a payload runs: a cage, the same kind of worker without one, or a plain child of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.adapters.sandboxes.caged import CagedSandbox
from toolward.adapters.sandboxes.results import read_result
from toolward.errors import ToolFailed, ToolwardError
from toolward.lab.escape.attempts import TIGHT, Attempt, Control, Via
from toolward.lab.escape.world import World, marked
from toolward.model.capability import IsolationLevel, IsolationReport, PathAccess, PathGrant, Scope
from toolward.model.egress import Grant
from toolward.ports.sandbox import (
    CommandJob,
    Ended,
    Exited,
    PythonJob,
    PythonSource,
    Raised,
    Ran,
    Stopped,
    Value,
)

LOOSE: Final = replace(
    TIGHT, cpu_s=-1, wall_ms=10_000, memory_bytes=1 << 30, output_bytes=64 << 20, processes=-1, file_bytes=-1
)
"""What a control may use up: enough to succeed, too little to do harm."""
_FLOOD: Final = ("/bin/sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2")
_ALONE: Final = """
import json, sys
told = json.load(open(sys.argv[1]))
space = {"__name__": "tool"}
exec(compile(told["text"], "payload", "exec"), space)
answer = json.dumps(space["attempt"](told["world"], told["name"]))
open(sys.argv[1] + ".answer", "w").write(answer)
"""
NOWHERE: Final = Ran(report=IsolationReport(tier=IsolationLevel.NONE))
"""Of what did not run in a cage of ours."""
_CHILD_S: Final = 15.0
_UP_S: Final = 10.0
GONE_S: Final = 3.0
_BEARABLE: Final = ("MemoryError", "OSError", "PermissionError", "BlockingIOError")


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of an attempt. `got` is the payload's word, `harm` the host's."""

    got: str = ""
    said: str = ""
    wrong: tuple[str, ...] = ()  # granted, and could not be used
    harm: tuple[str, ...] = ()
    broken: str = ""  # the payload itself failed: nothing was shown

    @property
    def escaped(self) -> bool:
        """Whether it achieved what it must not."""
        return bool(self.got or self.harm)


def scope_of(attempt: Attempt, told: dict[str, Any]) -> Scope:
    """What the cage of an attempt holds."""
    paths = (
        PathGrant(told["granted"], PathAccess.WRITE, told["granted"]),
        PathGrant(told["reading"], PathAccess.READ, told["reading"]),
    )
    return Scope(
        paths=paths if attempt.grants else (),
        network=(Grant(host="api.example.org", port=443),) if attempt.network else (),
        limits=attempt.limits,
    )


async def in_cage(sandbox: CagedSandbox, world: World, attempt: Attempt) -> Seen:
    """Run it in a cage, see what the host sees, and whether the next call still gets its answer."""
    told = world.reset(attempt)
    own_scratch = sandbox.report().mount_ns
    grants = ["read", "write"] * attempt.grants + ["network"] * attempt.network + ["scratch"] * own_scratch
    told |= {"grants": grants, **({"scratch": "/tmp"} if own_scratch else {})}  # noqa: S108 -- the cage's own
    if attempt.via is Via.DOOMED:
        return await asyncio.to_thread(in_doomed, sandbox.report().tier, world, attempt, told)
    scope = scope_of(attempt, told)
    try:
        ended = await _run(sandbox, attempt, told, scope)
    except ToolwardError as error:
        return Seen(broken=f"{type(error).__name__}: {error}")
    seen = judge(world, attempt, ended, _collected(attempt, told, caged=True))
    wrong = list(seen.wrong)
    if attempt.grants and attempt.via is Via.FUNCTION and not (world.base / "granted" / world.mark).exists():
        wrong.append("write: what was written is not on the host")
    again = await sandbox.run(_job("def attempt(world, name): return 42", told, ""), Scope())
    harm = (*seen.harm, *([] if isinstance(again, Value) and again.value == 42 else ["the next call fails"]))  # noqa: PLR2004
    return replace(seen, wrong=tuple(wrong), harm=harm)


async def without_cage(sandbox: CagedSandbox, world: World, attempt: Attempt) -> Seen:
    """The control."""
    told = world.reset(attempt)
    match attempt.control:
        case Control.CHILD:
            return await asyncio.to_thread(_in_child, world, attempt, told)
        case Control.FORK:
            return _in_fork(world, attempt, told)
        case _ if attempt.via is Via.DOOMED:
            return await asyncio.to_thread(in_doomed, IsolationLevel.NONE, world, attempt, told)
        case _:
            ended = await _run(sandbox, attempt, told, Scope(limits=LOOSE))
    return judge(world, attempt, ended, _collected(attempt, told, caged=False))


async def _run(sandbox: CagedSandbox, attempt: Attempt, told: dict[str, Any], scope: Scope) -> Ended:
    if attempt.via is Via.COMMAND:
        return await sandbox.run(CommandJob(argv=_FLOOD), scope)
    async with asyncio.TaskGroup() as tasks:

        def answer(listener: socket.socket) -> None:
            tasks.create_task(_greet(listener))

        job = _job(attempt.text, told, attempt.id)
        running = tasks.create_task(sandbox.run(job, scope, on_egress=answer))
    return running.result()


def _job(text: str, told: dict[str, Any], name: str) -> PythonJob:
    target = PythonSource(text=text, function="attempt", filename="payload")
    return PythonJob(target=target, arguments={"world": told, "name": name})


async def _greet(listener: socket.socket) -> None:
    """What a granted destination answers."""
    loop = asyncio.get_running_loop()
    with listener, contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(2):
            conn, _ = await loop.sock_accept(listener)
        with conn:
            await loop.sock_sendall(conn, b"hello")


def _collected(attempt: Attempt, told: dict[str, Any], *, caged: bool) -> str:
    """What the gateway reads as a result: with its own reader, or as one would without."""
    if not attempt.reads_result:
        return ""
    if not caged:
        return Path(told["granted"], "out").read_text()
    try:
        return read_result(told["granted"], "out", bytes_max=1_000).decode()
    except ToolFailed:
        return ""


def judge(world: World, attempt: Attempt, ended: Ended, collected: str) -> Seen:
    """From an end and what the gateway read to what was seen."""
    seen = Seen()
    answer = collected
    match ended:
        case Value(value={"wrong": list(wrong), "got": got, "said": said}):
            answer += json.dumps(got)
            seen = Seen(
                got=json.dumps(got)[:120] if got else "", said=str(said), wrong=tuple(map(str, wrong))
            )
        case Value(value=value):
            answer += json.dumps(value)
            seen = Seen(said="an answer of its own making")
        case Raised(kind=kind, text=text):
            broken = "" if kind in _BEARABLE else f"{kind}: {text}"
            seen = Seen(said=kind, broken=broken)
        case Exited(stdout=stdout, stderr=stderr):
            much = len(stdout) + len(stderr)
            seen = Seen(got=f"{much} bytes" if much > attempt.limits.output_bytes else "", said="it ended")
        case Stopped(reason=reason):
            seen = Seen(said=f"stopped: {reason.value}")
    return replace(seen, harm=tuple(world.harm(attempt, answer)))


def _answered(world: World, attempt: Attempt, text: str) -> Seen:
    if not text:
        return Seen(broken="the control gave no answer")
    found = orjson.loads(text)
    got = found["got"]
    harm = tuple(world.harm(attempt, text))
    return Seen(got=json.dumps(got)[:120] if got else "", said=found["said"], harm=harm)


def _in_child(world: World, attempt: Attempt, told: dict[str, Any]) -> Seen:
    """Fork and exec, with the gateway's environment, one of its descriptors, and its terminal."""
    order = world.base / "order"
    order.write_bytes(orjson.dumps({"text": attempt.text, "world": told, "name": attempt.id}))
    done = subprocess.Popen(
        [sys.executable, "-I", "-c", _ALONE, str(order)],
        stdin=world.tty,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(world.descriptor,),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,  # noqa: PLW1509 -- one thread waits
    )
    try:
        done.wait(_CHILD_S)
    except subprocess.TimeoutExpired:
        done.kill()
        done.wait()
    answer = Path(f"{order}.answer")
    text = answer.read_text() if answer.exists() else ""
    answer.unlink(missing_ok=True)
    return _answered(world, attempt, text)


def _in_fork(world: World, attempt: Attempt, told: dict[str, Any]) -> Seen:
    """Fork and no exec: what a helper that is forked from the gateway has in its memory."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            space: dict[str, Any] = {"__name__": "tool"}
            exec(compile(attempt.text, "payload", "exec"), space)  # noqa: S102 -- the control
            os.write(write, json.dumps(space["attempt"](told, attempt.id)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as file:  # noqa: PTH123 -- a descriptor
        text = file.read()
    os.waitpid(pid, 0)
    return _answered(world, attempt, text)


def in_doomed(tier: IsolationLevel, world: World, attempt: Attempt, told: dict[str, Any]) -> Seen:
    """In a gateway of its own, which is killed while the payload runs."""
    order = world.base / "order"
    order.write_bytes(orjson.dumps({"tier": tier.value, "id": attempt.id, "world": told}))
    command = [sys.executable, "-m", "toolward.lab.escape.doomed", str(order)]
    with subprocess.Popen(command, start_new_session=True) as gateway:
        up = world.base / "granted" / "up"
        wait_until(up.exists, _UP_S)
        was_up = up.exists()
        gateway.send_signal(signal.SIGKILL)
    wait_until(lambda: not marked(world.mark), GONE_S)
    harm = tuple(world.harm(attempt, ""))
    return Seen(said="the gateway was killed", harm=harm, broken="" if was_up else "it never came up")


def wait_until(until: Callable[[], bool], seconds: float) -> None:
    """Wait for something, so long at most."""
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)
