"""`toolward revision`: known-good states, by one digest."""

from __future__ import annotations

import click

from toolward.cli.frame import Frame, verb
from toolward.cli.screen import short, when


@click.group("revision")
def command() -> None:
    """Everything that decides (configuration, policies, pins), to look at and to return to."""


@command.command("list")
@verb
def list_revisions(frame: Frame) -> None:
    """Every revision that was ever in force, newest first."""
    rows = frame.ask("revision.list")
    if frame.screen.as_json:
        frame.screen.result(rows)
        return
    frame.screen.table(
        ("", "revision", "in force since", "files", "tools"),
        [
            (
                "*" if row["current"] else "",
                short(row["revision"]),
                when(row["activated_ns"]),
                row["files"],
                row["tools"],
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("revision", required=False, default="")
@verb
def show(frame: Frame, revision: str) -> None:
    """The files and pins of REVISION (a beginning of its digest; default: the current one)."""
    value = frame.ask("revision.show", **({"revision": revision} if revision else {}))
    if frame.screen.as_json:
        frame.screen.result(value)
        return
    frame.screen.say(value["revision"], style="bold")
    for key, pin in sorted(value["pins"].items()):
        frame.screen.say(f"  {key}  {pin['state']}  {short(pin['digest'])}")
    for name, text in sorted(value["files"].items()):
        frame.screen.say(f"\n--- {name}", style="cyan")
        frame.screen.say(text.rstrip("\n"))


@command.command("diff")
@click.argument("old")
@click.argument("new", required=False, default="")
@verb
def diff(frame: Frame, old: str, new: str) -> None:
    """What lies between OLD and NEW (default: the current one)."""
    value = frame.ask("revision.diff", old=old, **({"new": new} if new else {}))
    if frame.screen.as_json:
        frame.screen.result(value)
    elif value["lines"]:
        frame.screen.diff(value["lines"])
    else:
        frame.screen.say("no difference")


@command.command("restore")
@click.argument("revision")
@verb
def restore(frame: Frame, revision: str) -> None:
    """Return files, policies and pins to REVISION, in one step."""
    value = frame.ask("revision.restore", revision=revision)
    if frame.screen.as_json:
        frame.screen.result(value)
        return
    frame.screen.say(f"restored: {value['current']}", style="green")
    for tool in value["tools_changed"]:
        frame.screen.say(f"  {tool}")
