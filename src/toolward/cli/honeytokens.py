"""`toolward honeytokens`: values that nobody has a reason to use."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb
from toolward.model.honeytoken import TokenShape


@click.group("honeytokens")
def command() -> None:
    """Plant values in places that only a thief would copy from; a call that holds one raises an incident."""


@command.command("plant")
@click.argument("shape", type=click.Choice([each.value for each in TokenShape]))
@click.option("--source", required=True, help="Where you put it, in your words.")
@click.option("--tenant", default="", help="Whose data stands there.")
@click.option("--agent", default="", help="The one agent that reads there.")
@click.option("--place", default="", metavar="DOMAIN", help="For mail and url: a domain of your own.")
@verb
def plant(frame: Frame, shape: str, source: str, tenant: str, agent: str, place: str) -> None:
    """Make a value of SHAPE and print it, to be put into SOURCE by you."""
    row = frame.ask("honeytokens.plant", shape=shape, source=source, tenant=tenant, agent=agent, place=place)
    if frame.screen.as_json:
        frame.screen.result(row)
    else:
        frame.screen.say(row["value"])
        frame.screen.note(f"honeytoken {row['token']}; put it into {row['source']}")


@command.command("list")
@click.option("--values", is_flag=True, help="What was planted, too.")
@verb
def list_tokens(frame: Frame, values: bool) -> None:
    """What was planted, where, and since when."""
    rows = frame.ask("honeytokens.list", values=values)
    if frame.screen.as_json:
        frame.screen.result(rows)
    elif not rows:
        frame.screen.say("nothing is planted")
    else:
        head = ("token", "shape", "source", "tenant", "agent", "planted_at", "planted_by", "retired_at")
        columns = (*head, "value") if values else head
        frame.screen.table(columns, [tuple(row[name] for name in columns) for row in rows])


@command.command("retire")
@click.argument("token")
@verb
def retire(frame: Frame, token: str) -> None:
    """Look for TOKEN no longer; its incidents are put right."""
    row = frame.ask("honeytokens.retire", token=token)
    if frame.screen.as_json:
        frame.screen.result(row)
    else:
        frame.screen.say(f"retired: {row['token']}", style="green")
