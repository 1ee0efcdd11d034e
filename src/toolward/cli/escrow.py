"""`toolward escrow`: irreversible calls that are held, and can still be called off."""

from __future__ import annotations

import click
import orjson

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import when


@click.group("escrow")
def command() -> None:
    """What is held: an effect that can not be undone waits here for its time, or for its session's seal."""


@command.command("list")
@click.option("--session", default="", help="Only this session's.")
@verb
def list_held(frame: Frame, session: str) -> None:
    """Everything that is held, oldest first."""
    rows = frame.ask("escrow.list", session=session)
    if frame.screen.as_json:
        frame.screen.result(rows)
    elif not rows:
        frame.screen.say("nothing is held", style="green")
    else:
        frame.screen.table(
            ("escrow", "tool", "who", "arguments", "held", "goes out"),
            [
                (
                    row["escrow_id"],
                    row["tool"],
                    f"{row['who']['user']} ({row['who']['agent']})",
                    orjson.dumps(row["arguments"]).decode(),
                    when(row["held_ns"]),
                    _goes_out(row["state"], row["release_ns"], until_seal=row["until_seal"]),
                )
                for row in rows
            ],
        )


@command.command("cancel")
@click.argument("escrow")
@click.option("--why", default="", help="The agent is told, and it is in the record.")
@verb
def cancel(frame: Frame, escrow: str, why: str) -> None:
    """Call ESCROW off: it never happens."""
    result = frame.ask("escrow.cancel", escrow=escrow, why=why)
    if frame.screen.as_json:
        frame.screen.result(result)
    else:
        frame.screen.say(f"called off: {escrow}", style="green")


@command.command("release")
@click.argument("escrow")
@verb
def release(frame: Frame, escrow: str) -> None:
    """Let ESCROW happen now. Exits 1 when policy, a stop or another session is in its way."""
    result = frame.ask("escrow.release", escrow=escrow)
    refused = result["state"] == "refused"
    if frame.screen.as_json:
        frame.screen.result(result)
    elif refused:
        frame.screen.warn(f"it did not run: {result['reason']} ({result['code']})")
    else:
        frame.screen.say(f"done: call {result.get('call_id', '')}", style="green")
    if refused:
        leave(Exit.FINDING)


def _goes_out(state: str, release_ns: str, *, until_seal: bool) -> str:
    if state == "due":
        return "now"
    ways = [when(release_ns)] if int(release_ns) else []
    return " or ".join([*ways, *(["with the seal"] if until_seal else [])])
