"""One column of the table, in a process of its own: `python -m toolward.lab.escape.column PLACE [ID ...]`.

PLACE is a tier, `bubblewrap`, or `user`, `root` or `bare_wasm` for the controls that run so.
One JSON object on standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from typing import Any, Final

import orjson

from toolward.adapters.sandboxes.caged import CagedSandbox, UnsafeNoSandbox
from toolward.adapters.sandboxes.probing import probe
from toolward.adapters.sandboxes.settings import Settings
from toolward.errors import SandboxUnavailable
from toolward.lab.escape.attempts import ATTEMPTS, Attempt, Control
from toolward.lab.escape.bubblewrap import can_run, in_bubblewrap
from toolward.lab.escape.places import in_cage, without_cage
from toolward.lab.escape.wasm_places import run_wasm
from toolward.lab.escape.world import World
from toolward.model.capability import IsolationLevel

TIERS: Final = (IsolationLevel.NAMESPACES.value, IsolationLevel.LANDLOCK.value)
WASM: Final = ("wasm", "bare_wasm")
BUBBLEWRAP: Final = "bubblewrap"
BEST: Final = "best"
_CONTROLS: Final = {"user": (Control.USER, Control.CHILD, Control.FORK), "root": (Control.ROOT,)}


async def run(place: str, wanted: set[str]) -> dict[str, Any]:
    """What every attempt of this place came to."""
    chosen = [each for each in ATTEMPTS if not wanted or each.id in wanted]
    if place == BEST:
        tried = await probe()
        found = {"sentence": tried.sentence(), "tier": tried.best.value, "trials": tried.trials()}
        place = tried.best.value
        if tried.best is IsolationLevel.NONE:
            return {**found, "refused": [await _refusal(tier) for tier in TIERS], "attempts": {}}
        return {**found, **await _caged(place, chosen)}
    if place in WASM:
        return await run_wasm(caged=place == WASM[0], wanted=wanted)
    if place == BUBBLEWRAP:
        return _bubblewrapped([each for each in chosen if can_run(each)])
    if place in TIERS:
        return await _caged(place, chosen)
    return await _controls([each for each in chosen if each.control in _CONTROLS[place]])


async def _refusal(tier: str) -> str:
    try:
        sandbox = await CagedSandbox.open(Settings(tier=IsolationLevel(tier)))
    except SandboxUnavailable as error:
        return error.reason.text
    await sandbox.close()
    return ""


async def _caged(tier: str, chosen: list[Attempt]) -> dict[str, Any]:
    # One cage at a time, so that it is known which user it is.
    sandbox = await CagedSandbox.open(Settings(tier=IsolationLevel(tier), ready=1, workers_max=1))
    first = sandbox.pool.first_user or os.geteuid()
    own = tier == IsolationLevel.LANDLOCK.value and bool(sandbox.pool.first_user)
    world = World(tool_uid=first + own, victim_uid=first)
    try:
        seen = {each.id: asdict(await in_cage(sandbox, world, each)) for each in chosen}
    finally:
        world.close()
        await sandbox.close()
    return {"report": sandbox.report().as_json(), "uid": os.geteuid(), "attempts": seen}


def _bubblewrapped(chosen: list[Attempt]) -> dict[str, Any]:
    world = World(tool_uid=os.geteuid(), victim_uid=os.geteuid())
    try:
        seen = {each.id: asdict(in_bubblewrap(world, each)) for each in chosen}
    finally:
        world.close()
    return {"uid": os.geteuid(), "attempts": seen}


async def _controls(chosen: list[Attempt]) -> dict[str, Any]:
    sandbox = await UnsafeNoSandbox.open(Settings(ready=1, workers_max=2))
    world = World(tool_uid=os.geteuid(), victim_uid=os.geteuid())
    try:
        seen = {each.id: asdict(await without_cage(sandbox, world, each)) for each in chosen}
    finally:
        world.close()
        await sandbox.close()
    return {"uid": os.geteuid(), "attempts": seen}


def main() -> None:
    """Run it."""
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(run(sys.argv[1], set(sys.argv[2:])))))


if __name__ == "__main__":
    main()
