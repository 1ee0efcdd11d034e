"""`toolward reload`: the ward's files again, whole or not at all."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.command("reload")
@verb
def command(frame: Frame) -> None:
    """Read the ward's files again and put them in force; the old revision stays if something is wrong.

    Servers that were added, changed or removed are taken up and dropped while the others go on; calls under
    way end with the server that they began with. Tools of another server, source or command are quarantined
    until somebody approved them.
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
        if result["proposed"]:
            count = len(result["proposed"])
            frame.screen.note(f"{count} new tools wait for approval: `toolward tools list --state proposed`")
    if not frame.screen.as_json:
        for server, why in result["unreachable"].items():
            frame.screen.warn(f"{server}: {why}")
