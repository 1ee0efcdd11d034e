"""`toolward tools history|rollback|deprecate`: what a channel served before, and going back to it."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb
from toolward.cli.screen import short, when
from toolward.model.tool import Channel

in_channel = click.option(
    "--channel", type=click.Choice([each.value for each in Channel]), default=None, help="Else the ward's."
)
"""Which channel is meant."""


@click.command("history")
@click.argument("tool")
@in_channel
@verb
def history(frame: Frame, tool: str, channel: str | None) -> None:
    """What a channel serves of TOOL and served before."""
    value = frame.ask("tools.history", tool=tool, channel=channel or "")
    if frame.screen.as_json:
        frame.screen.result(value)
        return
    frame.screen.say(
        f"{value['tool']}  {value['channel']}  {value['state']}  {value['digest']}", style="bold"
    )
    if value["successor"]:
        frame.screen.say(f"use {value['successor']} instead")
    if not value["earlier"]:
        frame.screen.say("it has served no other version")
        return
    frame.screen.table(
        ("version", "from", "until", "to", "run by"),
        [
            (
                short(row["digest"]),
                when(row["since_ns"]),
                when(row["until_ns"]) if row["until_ns"] != "0" else "now",
                "nobody any more" if row["withdrawn"] else f"{row['share']} % of the sessions",
                row["runner"] or "nothing any more",
            )
            for row in value["earlier"]
        ],
    )


@click.command("rollback")
@click.argument("tool")
@click.option(
    "--to", default="", metavar="DIGEST", help="A version that it served before; else the last one."
)
@in_channel
@click.option(
    "--recall", is_flag=True, help="Sessions in flight go back too, instead of keeping what they have."
)
@click.option("--why", default="", help="Stands in the record.")
@verb
def rollback(frame: Frame, tool: str, to: str, channel: str | None, recall: bool, why: str) -> None:
    """Serve the version of TOOL from before again, at once. Sessions in flight keep theirs.

    A canary of TOOL that runs is over.
    """
    value = frame.ask("tools.rollback", tool=tool, to=to, channel=channel or "", recall=recall, why=why)
    if frame.screen.as_json:
        frame.screen.result(value)
        return
    frame.screen.say(
        f"{value['tool']} in {value['channel']}: {short(value['from'])} -> {short(value['to'])}, "
        f"in force after {value['took_us'] / 1000:.1f} ms",
        style="green",
    )
    kept = "are served it too" if recall else "keep what they were opened with"
    frame.screen.say(f"sessions in flight {kept}")


@click.command("deprecate")
@click.argument("tool")
@click.option("--successor", default="", metavar="TOOL", help="What takes its place, as server/name.")
@in_channel
@click.option("--why", default="", help="Stands in the record.")
@verb
def deprecate(frame: Frame, tool: str, successor: str, channel: str | None, why: str) -> None:
    """Go on serving TOOL, with a warning in its listing and in every reply."""
    value = frame.ask("tools.deprecate", tool=tool, successor=successor, channel=channel or "", why=why)
    if frame.screen.as_json:
        frame.screen.result(value)
        return
    instead = f", use {value['successor']} instead" if value["successor"] else ""
    frame.screen.say(f"{value['tool']} in {value['channel']} is deprecated{instead}", style="yellow")


COMMANDS = (history, rollback, deprecate)
