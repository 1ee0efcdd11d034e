"""`toolward status`: how the ward is."""

from __future__ import annotations

import click

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb


@click.command("status")
@verb
def command(frame: Frame) -> None:
    """Health, revision, servers, tools by state, open incidents. Exits 4 when the ward is not healthy."""
    with frame.link() as link:
        status = link.invoke("status")
        status["daemon"] = link.through_daemon
    screen = frame.screen
    if screen.as_json:
        screen.result(status)
    else:
        health = status["health"]
        screen.say(f"ward       {status['ward']}", style="bold")
        screen.say(f"daemon     {'running' if status['daemon'] else 'not running'}")
        if status["healthy"]:
            screen.say("health     healthy", style="green")
        else:
            screen.say(f"health     {health['reason']}; {health.get('remedy', '')}", style="bold red")
        screen.say(f"profile    {status['profile']}, channel {status['channel']}")
        screen.say(f"revision   {status['revision']}")
        screen.say(f"servers    {', '.join(status['servers']) or 'none'}")
        tools = ", ".join(f"{count} {state}" for state, count in sorted(status["tools"].items()))
        screen.say(f"tools      {tools or 'none'}")
        screen.say(f"records    {status['records']}")
        screen.say(f"approvals  {status['open_approvals']} open")
        open_circuits = status["open_circuits"]
        screen.say(f"circuits   {open_circuits} open", style="bold red" if open_circuits else "")
        open_incidents = status["open_incidents"]
        screen.say(f"incidents  {open_incidents} open", style="bold red" if open_incidents else "")
        for mark in status["unsafe"]:
            screen.say(f"UNSAFE     {mark}", style="bold red")
    if not status["healthy"]:
        leave(Exit.UNAVAILABLE)
