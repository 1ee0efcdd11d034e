"""`toolward sessions`: the runs of agents."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.group("sessions")
def command() -> None:
    """One session is one run of an agent: what can be sealed as a whole."""


@command.command("seal")
@click.argument("session")
@verb
def seal(frame: Frame, session: str) -> None:
    """Accept SESSION's work so far: what it holds in escrow goes out, what it changed is others' again."""
    result = frame.ask("sessions.seal", session=session)
    screen = frame.screen
    if screen.as_json:
        screen.result(result)
        return
    screen.say(f"sealed: {session}", style="green")
    for each in result["released"]:
        line = f"{each['escrow_id']} {each['state']}"
        if each["state"] == "refused":
            screen.warn(f"{line}: {each['reason']} ({each['code']})")
        else:
            screen.note(line)
