"""`python -m toolward.lab.examples NAME [--home DIR]`: run an example; exit code 1 when an act does not hold."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from toolward import examples
from toolward.errors import ToolwardError
from toolward.lab.examples import customer_support
from toolward.lab.examples.mailroom import Ports, open_mailroom
from toolward.lab.examples.scene import Scene, load_agent, make_databases
from toolward.lab.report import Row, write_report
from toolward.lab.running_ward import running_ward
from toolward.lab.toolchain import BUILD, SetupFailed, make_node

NAMES: Final = ("customer-support",)
GOAL_S: Final = 120
"""For all of it, once everything is installed."""


async def run_example(name: str, home: Path, environments: Path) -> list[Row]:
    """Copy the example to `home`, which is made anew, run it there, and return what was expected and seen.

    Raises `SetupFailed` where something can not be installed or started.
    """
    ports = Ports.free()
    began = time.monotonic()
    fresh_copy(name, home, ports)
    make_databases(home)
    with open_mailroom(home, ports, environments=environments) as mailroom:
        async with running_ward(home / "ward") as ward:
            scene = Scene(home=home, ward=ward, mailroom=mailroom, clerk=load_agent(home))
            print('ward', time.monotonic()-began, flush=True)
            await customer_support.prepare(scene)
            for act in customer_support.ACTS:
                print(act.__name__, time.monotonic()-began, flush=True)
                await act(scene)
                for r in scene.rows: print(r.holds, r.what, r.figure, '|', r.goal, flush=True)
    took = time.monotonic() - began
    return [*scene.rows, Row("all of it", took, "s", f"< {GOAL_S} when everything is installed", took < GOAL_S)]


def fresh_copy(name: str, home: Path, ports: Ports) -> None:
    """The example in `home`, made anew; only what its servers have installed is kept."""
    kept = home / "ward" / ".toolward" / "servers"
    with tempfile.TemporaryDirectory(dir=_made(home.parent)) as aside:
        if kept.exists():
            shutil.move(kept, aside)
        shutil.rmtree(home, ignore_errors=True)
        examples.copy(name, home, mail_port=ports.mcp)
        if (moved := Path(aside) / "servers").exists():
            (home / "ward" / ".toolward").mkdir(mode=0o700)
            shutil.move(moved, kept)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> int:
    """Run, print the table, write `build/reports/example-NAME.json`."""
    parser = argparse.ArgumentParser(prog="python -m toolward.lab.examples")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--home", type=Path, default=None, help="Where it is put; else build/examples/NAME.")
    options = parser.parse_args()
    places = (BUILD / "examples").absolute()
    home = (options.home or places / options.name).absolute()
    environments = places / "environments"
    try:
        os.environ.update(make_node(environments / "node").environment())
        os.environ["XDG_CONFIG_HOME"] = str(environments / "config")  # no credential of whoever runs it
        rows = asyncio.run(run_example(options.name, home, environments))
    except (SetupFailed, ToolwardError) as error:
        print(f"the example could not be run: {error}", file=sys.stderr)
        return 1
    write_report(f"example-{options.name}", rows)
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
