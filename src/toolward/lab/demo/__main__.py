"""`python -m toolward.lab.demo`: the acts in order; exit code 1 and the act's name when one fails."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

from rich.console import Console
from rich.text import Text

from toolward.lab.demo.acts_cage import cage
from toolward.lab.demo.acts_record import keep_record, tamper_with_database, tamper_with_export, turn_hostile
from toolward.lab.demo.acts_work import build_office, import_office, open_door, refuse, work
from toolward.lab.demo.stage import Stage, end_former, make_environment
from toolward.lab.report import Row, write_report

HOME: Final = Path("build") / "demo"
"""Below the directory that the demo is started in. Made anew each time."""
GOAL_S: Final = 180
"""For everything, the installation of toolward itself included."""
SETUP_MAX_S: Final = 900
SETUP_AGO_S: Final = 30
"""An installation counts as part of this run if it took no longer than that and ended no longer ago."""


def play(stage: Stage) -> None:
    """All acts. Raises `Broken` for what is not as promised."""
    office = build_office(stage)
    import_office(stage, office)
    door = open_door(stage, office)
    work(stage, office, door)
    refuse(stage, office, door)
    turn_hostile(stage, door)
    cage(stage)
    export, key = keep_record(stage)
    tamper_with_export(stage, export, key)
    tamper_with_database(stage)


def end(stage: Stage, *, took: float, setup: float) -> list[Row]:
    """The last act: what to try next, and the figures in one paragraph."""
    records = stage.ask("status")["records"]
    stage.stop()
    stage.begin("What to try next")
    program = shlex.quote(os.path.relpath(Path(sys.executable).with_name("toolward")))
    home, key = shlex.quote(os.path.relpath(stage.home)), Path("ward", ".toolward", "log.pub")
    for command in (
        f"tools diff rates/convert --ward {home}/ward",
        f"audit verify {home}/removed.jsonl --key {home}/{key}",
        "init my-ward --from YOUR.mcp.json",
    ):
        stage.say(f"{program} {command}", style="bold yellow")
    stage.finish()
    after = f", after {setup:.0f} s for installing toolward" if setup else ""
    summary = (
        f"{stage.allowed} calls allowed, {stage.denied} refused, each with its reason; {records} records, "
        f"signed and verified; {stage.forgeries} forgeries tried, all found. {took:.0f} s{after}. "
        "Nothing was left running."
    )
    stage.console.print(Text(f"\n{summary}\n", style="bold green"))
    return report_rows(stage, records=records, took=took, setup=setup)


def report_rows(stage: Stage, *, records: int, took: float, setup: float) -> list[Row]:
    """The figures for `build/reports/demo.json`."""
    whole = took + setup
    started = stage.seconds.pop("start")
    return [
        Row(what="calls allowed", figure=stage.allowed, unit="calls"),
        Row(what="calls refused, each with a reason and a record", figure=stage.denied, unit="calls"),
        Row(what="forgeries found", figure=stage.forgeries, unit="forgeries"),
        Row(what="audit records, verified", figure=records, unit="records"),
        Row(what="first start of the daemon", figure=started, unit="s"),
        *(Row(what=f"act {name}", figure=seconds, unit="s") for name, seconds in stage.seconds.items()),
        Row(what="installing toolward itself", figure=setup or "not measured", unit="s" if setup else ""),
        Row(what="whole", figure=whole, unit="s", goal=f"< {GOAL_S}", holds=whole < GOAL_S),
    ]


def setup_seconds(now: float) -> float:
    """How long `make setup` took just before `now` (Unix seconds), by its marker; 0 if it is older."""
    prefix = Path(sys.prefix)
    try:
        ended = (prefix / ".ready").stat().st_mtime
        took = ended - (prefix / "pyvenv.cfg").stat().st_mtime
    except OSError:
        return 0
    return took if 0 < took < SETUP_MAX_S and now - ended < SETUP_AGO_S else 0


def main() -> None:
    """Play, print, write `build/reports/demo.json`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these signs is no reason to end
    signal.signal(signal.SIGTERM, _terminated)  # so that nothing stays running
    home = HOME.absolute()
    console = Console(highlight=False, soft_wrap=True)
    stage = Stage(home=home, console=console, environment=make_environment(home, os.environ))
    began, setup = time.monotonic(), setup_seconds(time.time())
    rows: list[Row] = []
    try:
        end_former(stage.ward)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        console.print(Text("toolward: agents speak MCP to it, it speaks MCP to your servers", style="bold"))
        play(stage)
        rows = end(stage, took=time.monotonic() - began, setup=setup)
    except Exception as error:  # noqa: BLE001 -- the edge: whatever it was, the act is named and the exit code is 1
        console.print(Text(f"\nthe demo failed in act `{stage.act}`", style="bold red"))
        console.print(Text(f"{type(error).__name__}: {error}", style="red"))
        console.print(f"what is left of it: {home}")
    finally:
        stage.strike()
    if not rows:
        sys.exit(1)
    write_report("demo", rows, printed=False)
    missed = [row for row in rows if not row.holds]
    for row in missed:
        console.print(
            Text(f"missed: {row.what} {row.goal} {row.unit}, it was {row.figure}", style="bold red")
        )
    sys.exit(1 if missed else 0)


def _terminated(number: int, frame: object) -> NoReturn:
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
