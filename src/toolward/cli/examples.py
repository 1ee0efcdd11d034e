"""`toolward examples`: ready wards to look at, to run, and to make one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from toolward import examples
from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb


@click.group("examples")
def command() -> None:
    """Complete wards, each with servers, policies, tests, an agent and a page that tells what it shows."""


@command.command("list")
@verb
def list_them(frame: Frame) -> None:
    """The examples there are."""
    rows = [(name, examples.summary(name)) for name in examples.names()]
    if frame.screen.as_json:
        frame.screen.result([{"name": name, "shows": shows} for name, shows in rows])
    else:
        frame.screen.table(("example", "shows"), rows)


@command.command("copy")
@click.argument("name")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--mail-port",
    type=click.IntRange(1, 65_535),
    default=examples.MAIL_PORT_DEFAULT,
    help="Where the example's mail server listens.",
)
@verb
def copy(frame: Frame, name: str, directory: Path, mail_port: int) -> None:
    """Copy the example NAME into DIRECTORY, with its paths written in; its README says how to go on."""
    place = examples.copy(name, directory, mail_port=mail_port)
    if frame.screen.as_json:
        frame.screen.result({"directory": str(place), "ward": str(place / "ward")})
    else:
        frame.screen.note(f"copied to {place}; begin with {place / 'README.md'}")


@command.command("run")
@click.argument("name")
@click.option("--control", is_flag=True, help="With its rules taken out: what the attack in it does then.")
@verb
def run(frame: Frame, name: str, control: bool) -> None:
    """Run the example NAME on real servers below build/, and compare each act with what it promises.

    Installs what it needs the first time. Exit code 1 when an act does not hold.
    """
    _ = examples.summary(name)  # says which there are before anything is installed
    # a process of its own: the lab starts servers and daemons, and the command line knows nothing of it
    asked = [*(["--control"] if control else []), *(["--json"] if frame.screen.as_json else [])]
    done = subprocess.run([sys.executable, "-m", "toolward.lab.examples", name, *asked], check=False)  # noqa: S603 -- ourselves
    if done.returncode:
        leave(Exit.FINDING)
