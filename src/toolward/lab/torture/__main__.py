"""`python -m toolward.lab.torture`: everything, or some of it; exit code 1 when a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from toolward.lab.report import Row, write_report
from toolward.lab.torture.disks import (
    STUCK,
    UNHEALTHY,
    WRONG_REFUSAL,
    Sweep,
    rows_of_disks,
    torture_by_disks,
)
from toolward.lab.torture.evidence import RULES, Violation
from toolward.lab.torture.gather import BAD_LOG, BAD_RECEIPT, INCONSISTENT
from toolward.lab.torture.hostile import besiege, rows_of_siege
from toolward.lab.torture.house import NOT_DURABLE
from toolward.lab.torture.kills import rows_of_kills, rows_of_rules, torture_by_kills

PARTS: Final = ("kills", "disks", "power", "full", "hostile")
PLACE: Final = Path("build/torture")
MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- failing disks are simulated, so the sweeps need no real one
PROOFS: Final = (BAD_RECEIPT, INCONSISTENT, BAD_LOG)
POWER_RULES: Final = (*RULES, STUCK, *PROOFS)
"""What can be judged of a process that is gone: what it said meanwhile was heard by nobody."""
FULL_RULES: Final = (*RULES, NOT_DURABLE, WRONG_REFUSAL, UNHEALTHY, STUCK, *PROOFS)
_SEEDS: Final = 1_000_000


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="toolward.lab.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kill -9 this often (default 200)")
    parser.add_argument("--cuts", type=int, default=100, help="cut the power this often (default 100)")
    parser.add_argument("--calls", type=int, default=6_000, help="good calls beside hostile ones")
    parser.add_argument("--seed", type=int, default=None, help="for the same moments again; printed")
    parser.add_argument("--few", action="store_true", help="a few failing disks of each kind only")
    parser.add_argument("--place", type=Path, default=PLACE, help=f"where wards may lie (default {PLACE})")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out")
    return parser.parse_args()


def main() -> None:
    """Torture, print the table, write `build/reports/torture.json`."""
    given = arguments()
    seed = secrets.randbelow(_SEEDS) if given.seed is None else given.seed
    say = Console(stderr=True, highlight=False)
    say.print(f"torture with seed {seed}")
    rows = [Row("seed", str(seed))]
    place: Path = given.place.absolute()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for part in given.only or PARTS:
        say.print(f"[bold]{part}[/]")
        began = time.perf_counter()
        rows += _run(part, given, seed, place, say)
        rows.append(Row(f"  time of `{part}`", round(time.perf_counter() - began, 1), "s"))
    path = write_report("torture", rows)
    broken = [row.what.strip() for row in rows if not row.holds]
    say.print(f"{path}; seed {seed}; " + (f"[red]broken: {'; '.join(broken)}[/]" if broken else "all holds"))
    sys.exit(1 if broken else 0)


def _run(part: str, given: argparse.Namespace, seed: int, place: Path, say: Console) -> list[Row]:
    (place / part).mkdir()
    match part:
        case "kills":
            killed = torture_by_kills(place / part, kills=given.kills, seed=seed, say=say.print)
            return rows_of_kills(asyncio.run(killed))
        case "disks":
            with in_memory() as memory:
                sweep = torture_by_disks(memory, seed=seed, few=given.few, say=say.print)
                return rows_of_disks(asyncio.run(sweep))
        case "power":
            with in_memory() as memory:
                power = in_process("power", str(memory), str(seed), str(given.cuts))
            return _rows_of(power, "power cuts that kill the process, under load", POWER_RULES)
        case "full":
            if os.geteuid() != 0 or shutil.which("unshare") is None:
                return [Row("a small disk that is really full", "skipped: needs root and `unshare`")]
            full = in_process("tiny_disk", str(place / part), str(seed), namespace=True)
            return _rows_of(full, "small disks (tmpfs) really full, under load", FULL_RULES)
        case _:
            return rows_of_siege(
                asyncio.run(besiege(place / "hostile", calls=given.calls, seed=seed, say=say.print))
            )


def in_process(module: str, *given: str, namespace: bool = False) -> Sweep:
    """A part that needs a process of its own: it forks, or mounts."""
    command = [sys.executable, "-m", f"toolward.lab.torture.{module}", *given]
    done = subprocess.run(
        ["unshare", "-m", *command] if namespace else command, stdout=subprocess.PIPE, check=True
    )
    found = orjson.loads(done.stdout)
    found["violations"] = [Violation(**each) for each in found["violations"]]
    return Sweep(**found)


def _rows_of(sweep: Sweep, what: str, rules: Sequence[str]) -> list[Row]:
    return [
        Row(what, sweep.rounds, "rounds"),
        Row("  of them that struck", sweep.struck, "rounds"),
        Row("  calls answered", sweep.calls, "calls"),
        *([Row("  of them refused", sweep.refused, "calls")] if sweep.refused else []),
        *rows_of_rules(sweep.violations, rules),
    ]


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory in memory where there is one, until the block ends."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        yield Path(place)


if __name__ == "__main__":
    main()
