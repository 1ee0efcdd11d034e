"""Declared fallbacks are compared on schedule, so that a replacement is known before it is needed.

A comparison opens two houses on copies of roots, so it runs in a process of its own, which gets recorded
calls on its input: it takes no time of the daemon's loop, and needs nobody's credential.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from toolward.bootstrap.trying import Which, compare
from toolward.config.processors import use_all
from toolward.errors import Rejected, ToolwardError
from toolward.governance.desk import evidence
from toolward.governance.desk.context import Desk
from toolward.model.principal import CredentialKind, Principal

LOOK_S: Final = 600
"""Between two looks for a fallback whose comparison is too old; the first comes a while after a start."""
CALLS: Final = 50
"""Recorded calls of one comparison, the newest."""
RUN_S: Final = 1_800
"""One comparison; then it is stopped, and tried again at the next look."""
SCHEDULE: Final = Principal(
    user="toolward", agent="toolward-compare", credential="schedule", kind=CredentialKind.IN_PROCESS
)
"""Looks and writes down what came of it; it approves nothing."""
Run = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """Compares each tool that declares a fallback with it, every `every_h` hours; 0: never."""

    desk: Desk
    path: Path
    every_h: Callable[[], int]
    run: Run

    async def keep(self, report: Callable[[str, ToolwardError], None]) -> None:
        """Look again and again, for as long as the task lives."""
        while True:
            await self.desk.clock.sleep(LOOK_S)
            for tool, fallback in sorted(self.desk.ward().resilience.fallbacks.items()):
                try:
                    await self.look(tool, fallback)
                except ToolwardError as error:
                    report(tool, error)

    async def look(self, tool: str, fallback: str) -> bool:
        """Compare the two if that is due; whether it was. Raises `ToolwardError` also when they differ."""
        every_h = self.every_h()
        if not every_h or evidence.compared_within(self.desk, tool, fallback, hours=every_h):
            return False
        calls = await evidence.recorded(self.desk, {"tool": tool, "limit": CALLS}, SCHEDULE)
        if not calls:
            return False  # nobody used it: there is nothing to compare with
        first, second = [
            await evidence.version(self.desk, {"tool": each}, SCHEDULE) for each in (tool, fallback)
        ]
        asked = {"path": str(self.path), "first": _which(first), "second": _which(second), "calls": calls}
        differences = await self._differences(asked)
        await evidence.compared(
            self.desk,
            {
                "tool": fallback,
                "digest": second["digest"],
                "beside": {"tool": tool, "digest": first["digest"]},
                "calls": len(calls),
                "differences": differences,
            },
            SCHEDULE,
        )
        if differences:
            raise Rejected(
                f"{fallback} answers {len(differences)} of {len(calls)} calls otherwise than {tool}, whose "
                "place it is to take",
                remedy=f"look at them: toolward tools compare {tool}",
            )
        return True

    async def _differences(self, asked: Mapping[str, Any]) -> list[Any]:
        try:
            found = orjson.loads(await self.run(orjson.dumps(asked)))
        except (orjson.JSONDecodeError, OSError) as error:  # a time that is over is an `OSError` too
            raise Rejected(
                f"{asked['first'][0]} and its fallback could not be compared: {type(error).__name__} {error}",
                remedy=f"try it: toolward tools compare {asked['first'][0]}",
            ) from error
        if "error" in found:
            raise Rejected(str(found["error"]))
        differences: list[Any] = found["differences"]
        return differences


def _which(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["tool"], row["variant"], row["definition_digest"]


async def run_apart(asked: bytes) -> bytes:
    """The comparison in a process of its own. Raises `OSError`, which `TimeoutError` is."""
    use_all()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(RUN_S):
            said, _ = await process.communicate(asked)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said


async def _main(asked: Mapping[str, Any]) -> dict[str, Any]:
    first, second = Which(*asked["first"]), Which(*asked["second"])
    try:
        found = await compare(Path(asked["path"]), first, second, asked["calls"], on_progress=lambda _: None)
    except ToolwardError as error:
        return {"error": error.diagnostics()}
    return {"differences": [each.as_json() for each in found]}


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(_main(orjson.loads(sys.stdin.buffer.read())))))
