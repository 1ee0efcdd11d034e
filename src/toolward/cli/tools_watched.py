"""`toolward tools record|probe|stale`: what tools answered, whether they still do, and which nobody needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from toolward.cli.call import read_arguments
from toolward.cli.exits import Exit
from toolward.cli.frame import Frame, leave, verb
from toolward.model.contract import Contract, Expectation, Held, Must

_STYLES = {Held.HOLDS: "green", Held.CHANGED: "bold red", Held.NEVER: "yellow", Held.UNABLE: "dim"}


@click.command("record")
@click.argument("tool")
@click.option("--argument", "-a", "pairs", multiple=True, metavar="NAME=VALUE", help="JSON, else text.")
@click.option("--json-args", default="", help="All arguments as one JSON object.")
@click.option("--name", default="recorded", help="Of the contract; one of the same name is replaced.")
@verb
def record(frame: Frame, tool: str, pairs: tuple[str, ...], json_args: str, name: str) -> None:
    """Call TOOL twice and keep what it answers as a contract, in contracts/SERVER.yaml.

    What is the same both times must stay so; of the rest the shape must. Only for tools that only read.
    """
    from toolward.config.contracting import add_contract  # noqa: PLC0415 -- only this verb writes them

    arguments = read_arguments(pairs, json_args)
    with frame.link(on_progress=frame.screen.note) as link:
        said = link.invoke("tools.record", tool=tool, name=name, arguments=arguments)
        file = add_contract(frame.place.path, _contract(said))
        link.invoke("reload")
        verdicts = link.invoke("tools.probe", tool=tool)
    if frame.screen.as_json:
        frame.screen.result({"file": file, "contract": said, "verdicts": verdicts})
        return
    for each in said["expect"]:
        [must] = [key for key in each if key != "at"]
        frame.screen.say(f"{tool} {name}: {each['at'] or '/'} {must}", style="green")
    frame.screen.note(f"what it answered stands in {file} now: read it before you check it in")


def _contract(said: Mapping[str, Any]) -> Contract:
    return Contract(
        tool=said["tool"],
        name=said["name"],
        arguments=said["arguments"],
        expect=tuple(
            Expectation(at=each["at"], must=Must(key), value=value)
            for each in said["expect"]
            for key, value in each.items()
            if key != "at"
        ),
    )


@click.command("probe")
@click.argument("tool", default="")
@verb
def probe(frame: Frame, tool: str) -> None:
    """Try the contracts of TOOL, or all. What answers otherwise than before is quarantined; exits 1."""
    verdicts = frame.ask("tools.probe", tool=tool)
    screen = frame.screen
    if screen.as_json:
        screen.result(verdicts)
    else:
        for each in verdicts:
            said = f": {each['text']}" if each["text"] else ""
            text = f"{each['verdict']:10}  {each['tool']}  {each['contract']}{said}"
            screen.say(text, style=_STYLES[Held(each["verdict"])])
        if not verdicts:
            screen.note("no contracts: `toolward tools record SERVER/TOOL` makes one")
    if any(each["verdict"] in (Held.CHANGED, Held.NEVER) for each in verdicts):
        leave(Exit.FINDING)


@click.command("stale")
@verb
def stale(frame: Frame) -> None:
    """Tools that nobody can reach, uses, or has reviewed in time. From when on: `watch` in toolward.yaml."""
    rows = frame.ask("tools.stale")
    screen = frame.screen
    if screen.as_json:
        screen.result(rows)
        return
    screen.table(
        ("tool", "stale", "last seen", "last used", "owner", "review by"),
        [
            (
                row["tool"],
                ", ".join(f"{each['reason']} {each['text']}" for each in row["reasons"]),
                row["last_seen"] or "-",
                row["last_used"] or "-",
                row["owner"] or "-",
                row["review_by"] or "-",
            )
            for row in rows
        ],
    )
    if not rows:
        screen.say("no tool is stale", style="green")
