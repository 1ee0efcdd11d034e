"""`toolward declassify`: let an answer through that an agent's clearance does not cover."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.command("declassify")
@click.argument("call")
@click.option("--why", required=True, help="For the record.")
@verb
def command(frame: Frame, call: str, why: str) -> None:
    """Let the answer of CALL through, of which something was withheld; for who has the role `declassify`.

    The agent gets it when it makes the same call again in the same session.
    """
    result = frame.ask("sources.declassify", call=call, why=why)
    if frame.screen.as_json:
        frame.screen.result(result)
    else:
        places = ", ".join(result["withheld"]["places"])
        frame.screen.say(f"declassified for session {result['session']}: {places} of {result['tool']}")
