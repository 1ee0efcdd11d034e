"""`toolward reload`: the ward's files again, whole or not at all."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.command("reload")
@verb
def command(frame: Frame) -> None:
    """Read the ward's files again and put them in force; the old revision stays if something is wrong.

    A changed source file or command is taken, and its tools are quarantined until somebody approved them.
    Other servers that were added or changed need a restart of the daemon, which the error says.
    """
    result = frame.ask("reload")
    if frame.screen.as_json:
        frame.screen.result(result)
    elif result["revision"] == result["before"]:
        frame.screen.say(f"nothing changed: {result['revision']}")
    else:
        frame.screen.say(f"in force: {result['revision']}", style="green")
        for tool in result["quarantined"]:
            frame.screen.warn(f"{tool} changed and is quarantined: see `toolward tools diff {tool}`")
