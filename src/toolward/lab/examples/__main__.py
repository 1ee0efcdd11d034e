"""`python -m toolward.lab.examples NAME`: run an example; exit code 1 when an act does not hold."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

from toolward import examples
from toolward.errors import ToolwardError
from toolward.lab.examples import customer_support
from toolward.lab.examples.mailroom import Ports, open_mailroom
from toolward.lab.examples.scene import Scene, load_agent, make_databases
from toolward.lab.report import Row, write_report
from toolward.lab.running_ward import running_ward
from toolward.lab.toolchain import BUILD, SetupFailed, make_node

GOAL_S: Final = 120
"""For all of it, once everything is installed."""


async def run_example(name: str, home: Path, environments: Path, *, rules: bool = True) -> list[Row]:
    """Copy the example to `home`, which is made anew, run it there, and return what was expected and seen.

    Without `rules` it is the control: what happens where nothing holds the agent back. Raises `SetupFailed`
    where something can not be installed or started.
    """
    ports = Ports.free()
    began = time.monotonic()
    warm = fresh_copy(name, home, ports)
    make_databases(home)
    if not rules:
        customer_support.take_rules_out(home)
    acts = customer_support.ACTS if rules else customer_support.CONTROL
    with open_mailroom(home, ports, environments=environments) as mailroom:
        async with running_ward(home / "ward") as ward:
            scene = Scene(home=home, ward=ward, mailroom=mailroom, clerk=load_agent(home))
            for act in acts:
                if not await held(act, scene):
                    break
    took = time.monotonic() - began
    if not warm:
        return [*scene.rows, Row("all of it, installing included", took, "s")]
    return [*scene.rows, Row("all of it", took, "s", f"< {GOAL_S}", took < GOAL_S)]


async def held(act: customer_support.Act, scene: Scene) -> bool:
    """Play an act; one that breaks is a row that does not hold, and the end."""
    try:
        await act(scene)
    except Exception as error:  # noqa: BLE001 -- whatever it was, the act is named and the table is printed
        scene.saw(f"the act `{act.__name__}`", f"{type(error).__name__}: {error}", goal="plays to its end")
        return False
    return True


def fresh_copy(name: str, home: Path, ports: Ports) -> bool:
    """The example in `home`, made anew; whether anything that its servers had installed was kept."""
    kept = home / "ward" / ".toolward" / "servers"
    with tempfile.TemporaryDirectory(dir=_made(home.parent)) as aside:
        if kept.exists():
            shutil.move(kept, aside)
        shutil.rmtree(home, ignore_errors=True)
        examples.copy(name, home, mail_port=ports.mcp)
        moved = Path(aside) / "servers"
        warm = moved.exists()
        if warm:
            (home / "ward" / ".toolward").mkdir(mode=0o700)
            shutil.move(moved, kept)
    return warm


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> int:
    """Run, print the table, write `build/reports/example-NAME.json`."""
    parser = argparse.ArgumentParser(prog="python -m toolward.lab.examples")
    parser.add_argument("name", choices=examples.names())
    parser.add_argument("--home", type=Path, help="where it is put; else build/examples/NAME")
    parser.add_argument("--control", action="store_true", help="with its rules taken out: the attack works")
    parser.add_argument("--json", action="store_true", help="the rows as JSON on stdout, no table")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminated)  # so that nothing stays running
    places = (BUILD / "examples").absolute()
    home = (options.home or places / options.name).absolute()
    environments = places / "environments"
    try:
        os.environ.update(make_node(environments / "node").environment())
        os.environ["XDG_CONFIG_HOME"] = str(environments / "config")  # no credential of whoever runs it
        rows = asyncio.run(run_example(options.name, home, environments, rules=not options.control))
    except (SetupFailed, ToolwardError) as error:
        print(f"the example could not be run: {error}", file=sys.stderr)
        return 1
    report = write_report(
        f"example-{options.name}{'-control' if options.control else ''}", rows, printed=not options.json
    )
    if options.json:
        print(report.read_text("utf-8"), end="")
    return 0 if all(row.holds for row in rows) else 1


def _terminated(number: int, frame: object) -> NoReturn:
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
