"""`toolward discovery`: servers that sources name, and letting them in."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb


@click.group("discovery")
def command() -> None:
    """Servers that were found at run time. What is admitted serves its tools on the open path alone."""


@command.command("list")
@click.option("--source", default="", help="Only what this source names.")
@click.option("--state", type=click.Choice(["listed", "admitted", "rejected"]), default=None)
@verb
def list_found(frame: Frame, source: str, state: str | None) -> None:
    """Every found server with its source, its state and how it would be reached."""
    rows = frame.ask("discovery.list", source=source, state=state or "")
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    frame.screen.table(
        ("server", "named", "source", "state", "tools", "reached by", "note"),
        [
            (
                row["server"],
                f"{row['name']} {row['version']}".strip(),
                row["source"],
                row["state"],
                str(row["tools"] or ""),
                row["way"],
                row["unfit"] or (f"now {row['changed_to']}" if row["changed_to"] else ""),
            )
            for row in rows
        ],
    )
    if not rows:
        frame.screen.note(
            "nothing was found yet: `toolward discovery look` reads the sources of toolward.yaml"
        )


@command.command("look")
@click.argument("source", default="")
@verb
def look(frame: Frame, source: str) -> None:
    """Read SOURCE now, or every source."""
    rows = frame.ask("discovery.look", source=source)
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    for row in rows:
        if row["error"]:
            frame.screen.warn(row["error"])
            continue
        frame.screen.say(f"{row['source']}: {row['servers']} servers")
        for refused in row["refused"]:
            frame.screen.note(f"  {refused['name'] or 'the list'}: {refused['why']}")
        if row["left_out"]:
            frame.screen.note(f"  {row['left_out']} more were left out")


@command.command("admit")
@click.argument("server")
@verb
def admit(frame: Frame, server: str) -> None:
    """Let SERVER in, as its source describes it now: its tools can be found, and called on the open path."""
    row = frame.ask("discovery.admit", server=server)
    if frame.screen.as_json:
        frame.screen.result(row)
    elif row["unreachable"]:
        frame.screen.warn(f"admitted, and not reached: {row['unreachable']}")
    else:
        frame.screen.say(f"{row['server']}: {row['tools']} tools on the open path", style="green")


@command.command("reject")
@click.argument("server")
@click.option("--why", default="", help="Stands in the record.")
@verb
def reject(frame: Frame, server: str, why: str) -> None:
    """Keep SERVER out, or take it out again, whatever its source says of it from now on."""
    row = frame.ask("discovery.reject", server=server, why=why)
    if frame.screen.as_json:
        frame.screen.result(row)
    else:
        frame.screen.say(f"{row['server']} is kept out")
