"""`toolward objectives`: what the ward declares, and what people approved of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from toolward.cli.frame import Frame, verb
from toolward.cli.screen import Screen, short, when


@click.group("objectives")
def command() -> None:
    """Declared goals: their steps, the tools and bounds of each, and where they are approved."""


@command.command("list")
@verb
def list_objectives(frame: Frame) -> None:
    """Every objective with its standing in the ward's channel."""
    rows = frame.ask("objectives.list")
    if frame.screen.as_json:
        frame.screen.result(rows)
    elif rows:
        _table(frame.screen, rows)
    else:
        frame.screen.say("the ward declares no objectives; they are files `objectives/NAME.yaml`")


def _table(screen: Screen, rows: Sequence[Mapping[str, Any]]) -> None:
    screen.table(
        ("objective", "owner", "decision-critical", "channel", "standing", "digest"),
        [
            (
                row["objective"],
                row["owner"],
                ", ".join(row["critical_steps"]),
                row["channel"],
                row["standing"],
                short(row["digest"]),
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("objective")
@verb
def show(frame: Frame, objective: str) -> None:
    """The steps of OBJECTIVE, what it is composed of, what of that is approved, how its sessions ended."""
    found = frame.ask("objectives.show", objective=objective)
    screen = frame.screen
    if screen.as_json:
        screen.result(found)
        return
    screen.say(f"{found['objective']}  {found['standing']} for {found['channel']}", style="bold")
    screen.say(f"{found['purpose']} (owner: {found['owner']})")
    screen.table(
        ("step", "decision-critical", "tools", "bounds"),
        [
            (
                step["name"],
                "yes" if step["decision_critical"] else "",
                ", ".join(step["tools"]),
                ", ".join(f"{name} {bound}" for name, bound in step["bounds"].items()),
            )
            for step in found["steps"]
        ],
    )
    for tool, digest in found["composition"]["tools"].items():
        screen.say(f"tool {tool} {short(digest)}")
    for policy in found["composition"]["policies"]:
        screen.say(f"policy {policy}")
    for channel, pin in found["pins"].items():
        if pin is not None:
            screen.say(
                f"{channel}: {short(pin['digest'])} by {pin['approved_by']}, {when(pin['since_ns'])}"
                + (f", {len(pin['evidence'])} sessions as evidence" if pin["evidence"] else "")
            )
    for change in found["changed"]:
        screen.warn(f"changed since it was approved: {change}")
    for end in found["ends"]:
        screen.say(f"{end['sessions']} sessions {end['how']} in {end['channel']}, composed as it is now")
    if found["standing"] != "approved":
        screen.note(
            f"to approve it: toolward objectives approve {objective} --digest {short(found['digest'])}"
        )


@command.command("approve")
@click.argument("objective")
@click.option("--digest", default="", help="What you looked at, as `show` has it.")
@click.option("--note", default="", help="Why; stands in the record.")
@verb
def approve(frame: Frame, objective: str, digest: str, note: str) -> None:
    """Approve OBJECTIVE for the ward's channel: its steps, its tools' versions, the policies that name it."""
    with frame.link() as link:
        digest = digest or link.invoke("objectives.show", objective=objective)["digest"]
        row = link.invoke("objectives.approve", objective=objective, digest=digest, note=note)
    if frame.screen.as_json:
        frame.screen.result(row)
    else:
        _table(frame.screen, [row])


@command.command("promote")
@click.argument("objective")
@click.option(
    "--to", type=click.Choice(["staging", "production"]), default=None, help="Default: the next one."
)
@click.option("--note", default="", help="Why; stands in the record.")
@verb
def promote(frame: Frame, objective: str, to: str | None, note: str) -> None:
    """Take the approval of OBJECTIVE to the next channel: needs evidence, and a second person."""
    parameters = {"to": to} if to else {}
    found = frame.ask("objectives.promote", objective=objective, note=note, **parameters)
    if frame.screen.as_json:
        frame.screen.result(found)
        return
    frame.screen.say(f"{found['objective']} is approved for {found['channel']}", style="bold green")
    frame.screen.say(f"evidence: {', '.join(found['evidence'])}")
