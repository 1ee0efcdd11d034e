"""A child process in a cage: the same lines in and out, over the pipes that the cage hands out."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from typing_extensions import override

from toolward.adapters.tools.mcp.stdio.child import STDERR, STDOUT, Child, Process
from toolward.adapters.tools.mcp.stdio.programs import is_too_wide, program_paths
from toolward.errors import Denied, ReasonCode
from toolward.model.capability import Capabilities, Kept, PathAccess, PathCapability, PathGrant, Scope
from toolward.model.egress import Whose
from toolward.model.server import ServerBinding
from toolward.ports.cages import Cages
from toolward.ports.sandbox import CagedProcess, CommandJob
from toolward.rules.capability import scope_of

_INHERITED: Final = ("PATH", "LANG", "LC_ALL")
_PROXY_OF_NODE: Final = {"NODE_USE_ENV_PROXY": "1"}
"""Node asks the proxy of its environment only when it is told to."""


def scope_of_process(
    binding: ServerBinding,
    argv: Sequence[str],
    *,
    kept: Kept,
    installed: str = "",
) -> Scope:
    """What the server's process may touch: its roots to write in, what is declared, and what it runs from.

    `installed` is the environment that was made for this server, in the state itself. Raises `Denied` for
    what can not be granted, whoever asked.
    """
    declared = binding.capabilities or Capabilities()
    roots = [PathCapability(access=PathAccess.WRITE, template=root) for root in binding.roots]
    search = os.environ.get("PATH", os.defpath)
    programs = program_paths(argv, search)
    shown = [
        PathCapability(access=PathAccess.READ, template=path)
        for path in (*programs, *_working_directory(binding))
        if not _granted(path, [*roots, *declared.paths], (*kept.hidden, *kept.wards))
    ]
    own = [path for path in programs if installed and _within(path, [installed])]
    wanted = tuple(path for path in shown if path.template not in own)
    scope = scope_of(replace(declared, paths=(*roots, *declared.paths, *wanted)), {}, kept=kept)
    environment = [PathGrant(path, PathAccess.READ, path) for path in own]
    return replace(scope, paths=tuple(sorted((*scope.paths, *environment))))


def _granted(path: str, declared: Sequence[PathCapability], hidden: Sequence[str]) -> bool:
    """Whether a declared grant shows it already, and does not hide it."""
    return any(_within(path, [each.template]) for each in declared) and not _within(path, hidden)


def _working_directory(binding: ServerBinding) -> tuple[str, ...]:
    """Where the operator has it run is shown to it, unless that is too wide. Raises `Denied`."""
    if not binding.cwd or binding.cwd == "/":
        return ()
    path = os.path.realpath(binding.cwd)
    declared = binding.capabilities.paths if binding.capabilities else ()
    if is_too_wide(Path(path)) and not _within(path, [*binding.roots, *(each.template for each in declared)]):
        raise Denied(
            f"the working directory `{path}` of `{binding.server}` holds more than that server's own",
            code=ReasonCode.GRANT_REFUSED,
            remedy="name a narrower `cwd`, or grant this one under `capabilities.read`",
        )
    return (path,)


def _within(path: str, above: Sequence[str]) -> bool:
    return any(each and (path == each or path.startswith(each.rstrip("/") + "/")) for each in above)


def job_of(argv: Sequence[str], scope: Scope, *, env: Mapping[str, str], cwd: str) -> CommandJob:
    """The program with its environment: where programs are found, what the ward gives it, nothing else."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    kept |= _PROXY_OF_NODE if scope.network else {}
    return CommandJob(argv=tuple(argv), environment={**kept, **env}, cwd=cwd)


async def start_caged(child: Child, cages: Cages, job: CommandJob, scope: Scope, *, whose: Whose) -> None:
    """Start it. Raises `OSError`, `ToolwardError`."""
    if shutil.which(job.argv[0], path=job.environment.get("PATH", os.defpath)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), job.argv[0])
    process = await cages.start(job, scope, whose=whose)
    loop = asyncio.get_running_loop()
    stdin, _ = await loop.connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(process.stdin_fd, "wb", buffering=0)
    )
    outputs = {
        number: (await loop.connect_read_pipe(_forwarding(child, number), os.fdopen(fd, "rb", buffering=0)))[
            0
        ]
        for number, fd in ((STDOUT, process.stdout_fd), (STDERR, process.stderr_fd))
    }
    child.attach(_Caged(process, stdin, outputs, child))


def _forwarding(child: Child, number: int) -> type[asyncio.Protocol]:
    class Forwarding(asyncio.Protocol):
        """One of the child's outputs."""

        @override
        def data_received(self, data: bytes) -> None:
            child.pipe_data_received(number, data)

        @override
        def connection_lost(self, exc: Exception | None) -> None:
            child.pipe_connection_lost(number, exc)

    return Forwarding


class _Caged(Process):
    """`stdio.child.Process` of a cage."""

    def __init__(
        self,
        process: CagedProcess,
        stdin: asyncio.WriteTransport,
        outputs: Mapping[int, asyncio.ReadTransport],
        child: Child,
    ) -> None:
        self.stdin = stdin
        self._process = process
        self._outputs = outputs
        self._ending = asyncio.ensure_future(self._wait(child))

    async def _wait(self, child: Child) -> None:
        _ = await self._process.wait()
        child.process_exited()

    @override
    def signal(self, number: signal.Signals) -> None:
        if number is signal.SIGKILL:
            self._process.kill()
        else:
            self._process.terminate()

    @override
    def output(self, number: int) -> asyncio.ReadTransport | None:
        return self._outputs.get(number)

    @override
    def close(self) -> None:
        for transport in (self.stdin, *self._outputs.values()):
            transport.close()
