"""`toolward stdio WARD`: MCP on stdin and stdout, carried to the daemon, which is started when needed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Final

import click

from toolward.cli.frame import Frame, verb
from toolward.cli.link import DaemonLink, connect_daemon
from toolward.cli.place import CONFIG_FILE, Place
from toolward.config.daemon_file import LOG_FILE, is_taken
from toolward.errors import GatewayError, ReasonCode, WardError

START_S: Final = 30.0
"""How long a daemon that was started may take to answer; most of it is a slow disk's."""
_PAUSE_S: Final = 0.02
_LOG_LINES: Final = 5


@click.command("stdio")
@click.argument("ward", required=False, default="")
@click.option("--server", default="", help="Only this server, under its own tool names.")
@verb
def command(frame: Frame, ward: str, server: str) -> None:
    """Speak MCP on stdin and stdout for WARD. Starts its daemon when none runs; it stays when this ends."""
    if ward:
        frame.ward = ward
    frame.screen.as_json = False  # stdout belongs to the protocol
    daemon = ensure_daemon(frame.place)

    from toolward.adapters.system.ids import SystemIds  # noqa: PLC0415 -- while the daemon starts
    from toolward.doors.mcp.stdio.pipes import run_stdio_bridge  # noqa: PLC0415

    endpoint = f"/servers/{server}/mcp" if server else "/mcp"
    asyncio.run(run_stdio_bridge(daemon.socket, endpoint, connection_id=SystemIds().token()))


def ensure_daemon(place: Place) -> DaemonLink:
    """The ward's daemon, started if none answers.

    Raises `GatewayError` with the end of its log, `WardError` where there is no ward to start one for.
    """
    found = connect_daemon(place.state, "")
    if found is not None:
        return found
    if not (place.path / CONFIG_FILE).is_file():
        raise WardError(f"there is no ward at `{place.path}`", remedy=f"run `toolward init {place.path}`")
    child = None if is_taken(place.state) else _start(place)
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        found = connect_daemon(place.state, "")
        if found is not None:
            return found
        if child is not None and _has_ended(child):
            if not is_taken(place.state):
                break
            child = None  # somebody else's daemon was faster: wait for that one
        time.sleep(_PAUSE_S)
    raise GatewayError(
        f"the daemon of `{place.path}` did not start{_last_words(place.state / LOG_FILE)}",
        code=ReasonCode.GATEWAY_UNAVAILABLE,
        remedy=f"see {place.state / LOG_FILE}, or run `toolward up {place.path}`",
    )


def _start(place: Place) -> int:
    """A daemon of its own session, so that it outlives the client that happened to need it first; its pid."""
    place.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = str(place.state / LOG_FILE)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    program = [sys.executable, "-m", "toolward", "up", str(place.path)]
    return os.posix_spawn(sys.executable, program, os.environ, file_actions=actions, setsid=True)


def _has_ended(pid: int) -> bool:
    ended, _ = os.waitpid(pid, os.WNOHANG)
    return ended == pid


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return ": " + " | ".join(lines[-_LOG_LINES:]) if lines else ""
