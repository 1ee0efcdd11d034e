"""One worker doing one job under its limits."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from toolward.adapters.sandboxes.usage import Written, in_memory
from toolward.adapters.sandboxes.watchdog import CageWatch, Ceilings
from toolward.adapters.sandboxes.worker_link import Broken, WorkerLink
from toolward.errors import SandboxUnavailable
from toolward.model.capability import IsolationReport, PathAccess, Scope
from toolward.ports.sandbox import Ran, Stopped, StopReason


class Steps:
    """Where the time of one execution went."""

    def __init__(self) -> None:
        self._last = time.perf_counter_ns()
        self._marks: list[tuple[str, int]] = []

    def mark(self, name: str) -> None:
        """What was done since the last mark."""
        now = time.perf_counter_ns()
        self._marks.append((name, (now - self._last) // 1_000))
        self._last = now

    def all(self) -> tuple[tuple[str, int], ...]:
        """(name, microseconds), in order."""
        return tuple(self._marks)


class Execution:
    """Holds a worker from the moment it is taken; `close` ends it. `stopped` is the first reason to stop."""

    def __init__(
        self,
        worker: WorkerLink,
        scope: Scope,
        report: IsolationReport,
        steps: Steps,
        *,
        shares_user: bool = False,
    ) -> None:
        """`shares_user`: others have the cage's user too, so that its own processes have to be counted."""
        self.worker = worker
        self.stopped: tuple[StopReason, str] | None = None
        self.report = report
        self._scope = scope
        self._steps = steps
        self._armed = False
        self._deadline = asyncio.get_running_loop().time() + scope.limits.wall_ms / 1000
        limits = scope.limits
        group = worker.group
        ceilings = Ceilings(
            memory_bytes=-1 if group is not None and "memory" in group.controllers else limits.memory_bytes,
            tasks=limits.processes if shares_user else -1,
            cpu_s=limits.cpu_s,
            written_bytes=limits.written_bytes if scope.writes else -1,
            written=Written.AT_ALL if scope.writes and in_memory(written_to(scope)) else Written.TO_DISK,
        )
        self._watch = CageWatch(worker.pid, ceilings, self.stop, group=group)

    def stop(self, reason: StopReason, text: str) -> None:
        """End the cage; the first reason counts."""
        self.stopped = self.stopped or (reason, text)
        self.close()

    def close(self) -> None:
        """End the cage."""
        self._watch.stop()
        self.worker.kill()

    async def armed(self) -> None:
        """Wait until the cage is locked. Raises `SandboxUnavailable`: nothing ran."""
        if self._armed:
            return
        try:
            async with asyncio.timeout_at(self._deadline):
                while "armed" not in (frame := await self.worker.frame()):
                    if "fatal" in frame:
                        raise _not_made(str(frame["fatal"]))
        except TimeoutError:
            raise _not_made("it was not ready within the limits of the call") from None
        except Broken as error:
            raise _not_made(str(error)) from error
        self._armed = True
        self._steps.mark("armed")

    async def answer(self, *, forever: bool = False) -> Any:
        """The worker's one answer, or None when it was stopped (`stopped` says why)."""
        try:
            async with asyncio.timeout_at(None if forever else self._deadline):
                frame = await self.worker.frame()
        except TimeoutError:
            self.stop(StopReason.WALL, f"it took longer than {self._scope.limits.wall_ms} ms")
        except Broken as error:
            self.stop(*self._how_it_broke(error))
        else:
            self._steps.mark("answered")
            return frame
        return None

    def _how_it_broke(self, error: Broken) -> tuple[StopReason, str]:
        if error.gone and self.worker.group is not None and self.worker.group.ran_out_of_memory():
            said = f"its processes together took more than {self._scope.limits.memory_bytes} bytes"
            return StopReason.MEMORY, said
        return StopReason.DIED if error.gone else StopReason.PROTOCOL, str(error)

    def ran(self) -> Ran:
        """Where it ran and how long the steps took."""
        return Ran(report=self.report, steps=self._steps.all())

    def outcome(self) -> Stopped:
        """The stop, for the caller."""
        reason, text = self.stopped or (StopReason.DIED, "the cage ended without an answer")
        return Stopped(reason=reason, text=text, ran=self.ran())


def written_to(scope: Scope) -> list[str]:
    """The paths that a scope grants for writing."""
    return [grant.path for grant in scope.paths if grant.access is PathAccess.WRITE]


def _not_made(why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"the cage could not be made: {why}", remedy="toolward doctor says what this host reaches"
    )
