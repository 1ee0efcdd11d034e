"""Part 5: from `toolward up` to the first answered call, and what an installation holds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path
from statistics import median
from typing import Final

from toolward.lab.bench.client import Caller, WrongReply
from toolward.lab.bench.gateway import WRITE, Prepared
from toolward.lab.bench.processes import HOME, ITS_OWN_NOTES, free_port
from toolward.lab.quiet import Slowness
from toolward.lab.report import Row
from toolward.lab.toolchain import SetupFailed, make_environment

START_GOAL_S: Final = 1.5
PACKAGES_GOAL: Final = 50
SIZE_GOAL_MB: Final = 100
_GIVE_UP_S: Final = 60.0
_LOOK_S: Final = 0.005
_INSTALLERS: Final = frozenset({"pip", "setuptools", "wheel"})
_AS_INSTALLED: Final = {**ITS_OWN_NOTES, "PYTHONDONTWRITEBYTECODE": ""}
"""Where that is set, each start compiles six hundred files anew, which is more than half of what it takes."""
_CORE: Final = Path("requirements/core.txt")


def measure_start(ward: Prepared, times: int) -> list[Row]:
    """Median of `times` starts on files in the cache, byte code included, as after an installation."""
    asyncio.run(_first_call_s(ward))
    slow = Slowness()  # nearly all of a start is one thread that imports
    seconds = median(asyncio.run(_first_call_s(ward)) for _ in range(times))
    slow.look()
    what = "start of `toolward up` to the first answered call"
    return [*slow.judged(what, seconds, START_GOAL_S, "s"), slow.row()]


async def _first_call_s(ward: Prepared) -> float:
    port = free_port()
    command = [sys.executable, "-m", "toolward", "up", str(ward.path), "--port", str(port)]
    began = time.perf_counter()
    daemon = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **_AS_INSTALLED}
    )
    try:
        while time.perf_counter() - began < _GIVE_UP_S:
            caller = Caller(ward.address(port, WRITE))
            try:
                await caller.open()
                await caller.call("first")
            except OSError:
                await asyncio.sleep(_LOOK_S)
                continue
            except WrongReply as error:
                raise SetupFailed(f"the first call failed: {error}") from error
            finally:
                caller.close()
            return time.perf_counter() - began
    finally:
        with contextlib.suppress(ProcessLookupError):
            daemon.terminate()
        await daemon.wait()
    raise SetupFailed("the daemon answered nothing for a minute")


def measure_install() -> list[Row]:
    """Packages and size of the core's lock file in a fresh environment, its installers not counted."""
    place = HOME / "core"
    shutil.rmtree(place, ignore_errors=True)
    python = make_environment(place, ["--require-hashes", "-r", str(_CORE)])
    site = next(python.parent.parent.glob("lib/python*/site-packages"))
    count, size = 0, 0
    for each in distributions(path=[str(site)]):
        if each.name.lower() in _INSTALLERS:
            continue
        count += 1
        size += sum(_size(Path(os.fspath(file.locate()))) for file in each.files or ())
    own = sum(_size(file) for file in Path("src/toolward").rglob("*"))
    megabytes = (size + own) / 1e6
    return [
        Row(
            "core install: packages with toolward",
            count + 1,
            "",
            f"<= {PACKAGES_GOAL}",
            count < PACKAGES_GOAL,
        ),
        Row(
            "core install: size with toolward",
            round(megabytes, 1),
            "MB",
            f"<= {SIZE_GOAL_MB}",
            megabytes <= SIZE_GOAL_MB,
        ),
    ]


def _size(path: Path) -> int:
    """Byte code is not counted: it is a cache, written at the first start or by an installer before."""
    return path.stat().st_size if path.is_file() and path.suffix != ".pyc" else 0
