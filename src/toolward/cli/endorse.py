"""`toolward endorse`: do what this source says."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.command("endorse")
@click.argument("session")
@click.argument("source")
@click.option("--note", default="", help="For the record.")
@verb
def command(frame: Frame, session: str, source: str, note: str) -> None:
    """Stand for what SOURCE said in SESSION: a call's identifier, or SERVER/TOOL for all it said so far.

    Its values then count as your own words in that session. Who may read them stays as it is.
    """
    result = frame.ask("sources.endorse", session=session, source=source, note=note)
    if frame.screen.as_json:
        frame.screen.result(result)
        return
    frame.screen.say(f"endorsed: {', '.join(result['calls'])}")
    if result["tainted"]:
        frame.screen.note("the session has read other untrusted content, which still counts")
