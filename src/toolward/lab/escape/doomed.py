"""A gateway that runs one attempt and is killed meanwhile: `python -m toolward.lab.escape.doomed ORDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson

from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.settings import Settings
from toolward.lab.escape.attempts import BY_ID
from toolward.lab.escape.places import scope_of
from toolward.model.capability import IsolationLevel
from toolward.ports.sandbox import PythonJob, PythonSource


async def run(order: dict[str, Any]) -> None:
    """Run it until somebody ends this process."""
    attempt = BY_ID[order["id"]]
    tier = IsolationLevel(order["tier"])
    opened = UnsafeNoSandbox if tier is IsolationLevel.NONE else CagedSandbox
    sandbox = await opened.open(Settings(tier=tier, ready=1))
    target = PythonSource(text=attempt.text, function="attempt")
    job = PythonJob(target=target, arguments={"world": order["world"], "name": attempt.id})
    await sandbox.run(job, scope_of(attempt, order["world"]))


if __name__ == "__main__":
    asyncio.run(run(orjson.loads(Path(sys.argv[1]).read_bytes())))
