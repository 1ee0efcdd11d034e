"""`toolward tools promote|promotions|canary`: from one channel to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.cli.screen import Screen, short
from toolward.cli.versions import in_channel
from toolward.model.tool import Channel

_TO = click.Choice([each.value for each in Channel])


def show_checks(screen: Screen, checks: Sequence[Mapping[str, Any]]) -> None:
    """What a gate asks for, and what stands against it."""
    if checks:
        screen.table(("gate", "", "why"), [(each["what"], each["verdict"], each["text"]) for each in checks])


@click.command("promote")
@click.argument("tool")
@click.option("--to", required=True, type=_TO, help="The channel that it gets into.")
@click.option(
    "--digest", default="", help="Which version; else what waits, or what the channel before serves."
)
@click.option("--withdraw", is_flag=True, help="Take back what waits, or say no to it.")
@click.option(
    "--dry-run", is_flag=True, help="Only what the gate says of it now; exits 1 if it does not hold."
)
@click.option("--note", default="", help="Why; stands in the record.")
@verb
def promote(
    frame: Frame, tool: str, *, to: str, digest: str, withdraw: bool, dry_run: bool, note: str
) -> None:
    """Let a version of TOOL into a channel, or propose it where the channel's gate asks for people.

    Who promotes first proposes; another person agrees by the same command.
    """
    screen = frame.screen
    if dry_run:
        value = frame.ask("tools.gate", tool=tool, to=to, digest=digest)
        screen.result(value) if screen.as_json else show_checks(screen, value["checks"])
        if any(each["verdict"] != "holds" for each in value["checks"]):
            leave(Exit.FINDING)
        return
    name = "tools.withdraw" if withdraw else "tools.promote"
    value = frame.ask(name, tool=tool, to=to, note=note, **({} if withdraw else {"digest": digest}))
    if screen.as_json:
        screen.result(value)
        return
    show_checks(screen, value.get("checks", ()))
    words = {
        "promoted": f"is what {to} serves new sessions",
        "proposed": f"waits for another person: toolward tools promote {tool} --to {to}",
        "signed": "waits for one more person",
        "withdrawn": f"waits for {to} no more",
    }[value["state"]]
    screen.say(f"{tool} {short(value['digest'])} {words}", style="green")


@click.command("promotions")
@verb
def promotions(frame: Frame) -> None:
    """What waits for people, and what its gate says now."""
    rows = frame.ask("tools.promotions")
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    if not rows:
        frame.screen.say("nothing waits")
    for row in rows:
        signed = f", signed by {', '.join(row['signed'])}" if row["signed"] else ""
        frame.screen.say(
            f"{row['tool']} {short(row['digest'])} for {row['channel']}, proposed by {row['proposer']}"
            f"{signed}",
            style="bold",
        )
        show_checks(frame.screen, row["checks"])


@click.command("canary")
@click.argument("tool")
@click.option("--share", type=click.IntRange(1, 99), default=None, help="Begin: per cent of new sessions.")
@click.option(
    "--copies", type=click.IntRange(1, 100), default=None, help="Begin: per cent of reads run with it too."
)
@click.option("--digest", default="", help="Which version; else what waits, or the newest that was seen.")
@in_channel
@click.option("--abort", is_flag=True, help="End it: new sessions are served what was served before.")
@click.option("--recall", is_flag=True, help="With --abort: sessions that got it go back too.")
@click.option("--why", default="", help="With --abort: stands in the record.")
@verb
def canary(
    frame: Frame,
    tool: str,
    *,
    share: int | None,
    copies: int | None,
    digest: str,
    channel: str | None,
    abort: bool,
    recall: bool,
    why: str,
) -> None:
    """Serve a version of TOOL to a share of the new sessions, or see how it does.

    With --copies no session is served it: reads are answered as before, and run with it afterwards too.

    It ends by itself on failures in a row, a burning error budget, or errors and latency that are worse than
    those of what it is compared with. Exits 1 when it does not pass yet.
    """
    where = {"tool": tool, "channel": channel or ""}
    if abort:
        value = frame.ask("tools.abort", **where, recall=recall, why=why)
    else:
        wanted = {"share": share, "copies": copies}
        asked = {name: number for name, number in wanted.items() if number}
        value = frame.ask("tools.canary", **where, digest=digest, **asked)
    screen = frame.screen
    if screen.as_json:
        screen.result(value)
    else:
        screen.table(
            ("", "version", "calls", "bad"),
            [
                (f"canary, {value['share']} %", short(value["candidate"]), value["calls"], value["bad"]),
                ("control", short(value["control"]), value["control_calls"], value["control_bad"]),
            ],
        )
        if value.get("copies"):
            screen.say(f"{value['differences']} of {value['compared']} copies were answered differently")
        show_checks(screen, [value["check"]] if "check" in value else ())
        if abort:
            screen.say(f"ended: {tool} serves {short(value['control'])} to every new session", style="green")
    if not abort and not share and not copies and value["check"]["verdict"] != "holds":
        leave(Exit.FINDING)


COMMANDS = (promote, promotions, canary)
