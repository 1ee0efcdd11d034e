"""`toolward connect CLIENT`: point an MCP client at the gateway, with a backup and an undo."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolward.cli.frame import Frame, verb

if TYPE_CHECKING:
    from toolward.config.clients.files import Connected, Desktop

CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode")


@click.command("connect")
@click.argument("client", type=click.Choice(CLIENTS))
@click.option("--undo", is_flag=True, help="Put back what stood there before.")
@click.option(
    "--file", default="", metavar="PATH", help="The client's configuration, where it is not the usual one."
)
@click.option(
    "--project", default="", metavar="DIR", help="The project, for clients that keep a file in it; else here."
)
@click.option("--server", default="", help="Only this server, under its own tool names.")
@click.option("--http", is_flag=True, help="Over HTTP with a key in TOOLWARD_KEY, instead of stdio.")
@click.option(
    "--keep", is_flag=True, help="Leave the client's own entries of servers that the ward now holds."
)
@verb
def command(  # noqa: PLR0917 -- click passes by name
    frame: Frame, client: str, undo: bool, file: str, project: str, server: str, http: bool, keep: bool
) -> None:
    """Point CLIENT at this ward's gateway.

    Its own entries for servers that the gateway now stands before are taken out (the backup keeps them),
    since an agent could go around the gateway through them.
    """
    from toolward.config.clients.connecting import Client, GatewayEntry  # noqa: PLC0415
    from toolward.config.clients.files import bypasses, client_file, connect  # noqa: PLC0415
    from toolward.config.clients.files import undo as undo_connect  # noqa: PLC0415

    kind, desktop = Client(client), _desktop(project)
    path = Path(file).expanduser() if file else client_file(kind, desktop)
    if undo:
        backup = undo_connect(path)
        if frame.screen.as_json:
            frame.screen.result({"file": str(path), "restored": backup.name})
        else:
            frame.screen.say(f"{path} is as it was", style="green")
        return
    entry = GatewayEntry(url=_url(frame, server)) if http else GatewayEntry(command=_command(frame, server))
    held = _held(frame)
    done = connect(
        path,
        client=kind,
        entry=entry,
        now_ns=time.time_ns(),  # noqa: TID251 -- the name of the backup
        replaces=() if keep else held,
    )
    around = bypasses(kind, desktop, file=path, held=held)
    if frame.screen.as_json:
        frame.screen.result(
            {
                "file": str(done.file),
                "backup": str(done.backup) if done.backup else None,
                "removed": list(done.removed),
                "bypasses": {str(other): list(names) for other, names in around.items()},
            }
        )
    else:
        _tell(frame, client, done, http=http)
    for other, names in around.items():
        frame.screen.warn(
            f"{', '.join(names)} also stands in {other}: an agent goes around the gateway there;"
            f" {shlex.join(['toolward', 'connect', client, '--file', str(other)])}"
        )


def _desktop(project: str) -> Desktop:
    from toolward.config.clients.files import Desktop  # noqa: PLC0415

    return Desktop(
        project=Path(project).expanduser().absolute() if project else None,
        here=Path.cwd(),
        home=Path.home(),
        environ=os.environ,
        platform=sys.platform,
    )


def _tell(frame: Frame, client: str, done: Connected, *, http: bool) -> None:
    screen = frame.screen
    if done.backup is None:
        screen.say(f"{done.file} points at the gateway already")
        return
    screen.say(f"{done.file} points at the gateway", style="green")
    for name in done.removed:
        screen.say(f"  `{name}` is reached through it now")
    screen.say(f"  backup  {done.backup.name}, with everything that stood there")
    screen.say(f"  undo    {shlex.join(['toolward', 'connect', client, '--undo', '--file', str(done.file)])}")
    if http:
        ward = shlex.quote(str(frame.place.path))
        screen.say(f"  the client needs a key in TOOLWARD_KEY: toolward keys create {client} --ward {ward}")
    screen.say("  restart the client, or reload its servers")


def _held(frame: Frame) -> tuple[str, ...]:
    from toolward.config.ward import load_ward  # noqa: PLC0415

    return tuple(load_ward(frame.place.path).config.servers)


def _command(frame: Frame, server: str) -> tuple[str, ...]:
    """The stdio door, by absolute paths: a client starts it from anywhere and with any PATH."""
    program = shutil.which("toolward") or str(Path(sys.executable).with_name("toolward"))
    start = (program,) if Path(program).is_file() else (sys.executable, "-m", "toolward")
    only = ("--server", server) if server else ()
    return (*start, "stdio", str(frame.place.path), *only)


def _url(frame: Frame, server: str) -> str:
    from toolward.config.ward import load_ward  # noqa: PLC0415

    listen = load_ward(frame.place.path).config.listen
    path = f"/servers/{server}/mcp" if server else "/mcp"
    return f"http://{listen.host}:{listen.port}{path}"
