"""`toolward up WARD`: the daemon, in the foreground."""

from __future__ import annotations

import asyncio
import gc
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolward.cli.frame import Frame, verb
from toolward.cli.link import WAIT_S, connect_daemon
from toolward.cli.place import Place
from toolward.cli.screen import Screen
from toolward.config.daemon_file import is_taken
from toolward.errors import WardError

if TYPE_CHECKING:
    from toolward.bootstrap.daemon import Ready

_PAUSE_S = 0.05


_COLLECT = (50_000, 20, 50)
"""Calls leave few cycles behind, so looking for them can be rarer than in a program that makes many."""

_TURN_S = 0.001
"""The store's thread asks for the interpreter several times for each commit, and a busy event loop would let
it wait five milliseconds each time."""


@click.command("up")
@click.argument("ward", required=False, default="")
@click.option("--host", default="", help="Listen here instead of where toolward.yaml says.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Likewise; 0 takes any free port.")
@verb
def command(frame: Frame, ward: str, host: str, port: int | None) -> None:
    """Start the gateway of WARD and serve until Ctrl-C or SIGTERM.

    Calls in flight are settled before it ends. A start that is refused says why, and is on record.
    """
    if ward:
        frame.ward = ward
    place = frame.place
    _wait_for_the_ward(place)
    run_here(place.path, frame.screen, host=host, port=port)


def _wait_for_the_ward(place: Place) -> None:
    """Let another command finish that has the ward open. Raises `WardError` if a daemon serves it."""
    until = time.monotonic() + WAIT_S
    while True:
        if connect_daemon(place.state, "") is not None:
            raise WardError(
                "a daemon already serves this ward", file=str(place.path), remedy="see `toolward status`"
            )
        if not is_taken(place.state) or time.monotonic() > until:
            return  # if it is taken still, opening it says so
        time.sleep(_PAUSE_S)


def run_here(path: Path, screen: Screen, *, host: str, port: int | None) -> None:
    """Serve in this process until a signal. Raises `ToolwardError` for a start that is refused."""
    from toolward.bootstrap.daemon import Watch, run_daemon  # noqa: PLC0415 -- the whole house
    from toolward.bootstrap.neighbours import note_ward  # noqa: PLC0415

    gc.set_threshold(*_COLLECT)
    sys.setswitchinterval(_TURN_S)

    def ready(it: Ready) -> None:
        gc.freeze()  # what stands now stays for as long as the daemon does
        _announce(it, screen)

    if why := note_ward(path):
        screen.warn(f"tools of other wards are not kept from this one: {why}")
    watch = Watch(
        ready=ready,
        trouble=lambda server, text: screen.warn(f"{server}: {text}" if server else text),
        progress=screen.note,
    )

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await run_daemon(path, stop, watch=watch, host=host, port=port)
        screen.note("stopped")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve())


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 -- not on every platform

    factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return factory


def _announce(ready: Ready, screen: Screen) -> None:
    house = ready.house
    revision = house.revision
    if screen.as_json:
        screen.line(
            {
                "ward": house.ward.config.name,
                "url": f"{ready.url}/mcp",
                "socket": ready.socket,
                "profile": revision.profile,
                "revision": revision.digest,
                "unsafe": list(revision.marks),
            }
        )
        return
    screen.say(f"toolward serves `{house.ward.config.name}`", style="bold green")
    screen.say(f"  agents    {ready.url}/mcp   (one server alone: {ready.url}/servers/NAME/mcp)")
    screen.say(f"  socket    {ready.socket}")
    screen.say(f"  profile   {revision.profile}, channel {revision.channel.value}")
    screen.say(f"  revision  {revision.digest}")
    for mark in revision.marks:
        screen.say(
            f"  UNSAFE    {mark} is set in toolward.yaml, and stands in every record", style="bold red"
        )
    waiting = sum(pin.state.value != "approved" for pin in house.parts.registry.pins())
    if waiting:
        screen.say(f"  {waiting} tools are not approved: see `toolward tools list`", style="yellow")
    ward = shlex.quote(str(house.ward.path))
    screen.say(
        f"  connect   toolward connect claude-code --ward {ward}   (or claude-desktop, cursor, vscode)"
    )
    screen.say(f"  watch     toolward audit tail --follow --ward {ward}")
